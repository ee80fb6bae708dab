#!/usr/bin/env bash
# Packs what runs on a machine that has neither our packages nor a compiler: the program, the tests, their libraries beyond
# the C library and CUDA, and what the CPU says of 256 pictures and of the first steps of a training.
#   BUILD=build/cuda tools/gpu/pack.sh [FILE]          (FILE: build/gpu-pack.tar.xz)
# Refuses when the checkout and the pack together are more than may travel. EXPECTED_PICTURES, RACE_STEPS and RACE_BATCH
# make the CPU's part smaller.
set -euo pipefail
cd "$(dirname "$0")/../.."
file=${1:-build/gpu-pack.tar.xz} build=${BUILD:-build/cuda}
most=$((63 << 20))
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$build/tools/dalle1 tests=$build/tests/dalle1_tests

mkdir -p "$folder"/{tools,tests,lib}
strip -o "$folder/tools/dalle1" "$program"
strip -o "$folder/tests/dalle1_tests" "$tests"
ldd "$program" "$tests" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '^/usr/local/cuda|/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|cuda|cudart|cublas|cublasLt|cudnn[a-z_]*)\.so|/ld-' |
  xargs -I {} cp {} "$folder/lib/"
LD_LIBRARY_PATH=$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
  ${PYTHON:-/usr/bin/python3} tools/gpu/quarter expect "$folder/tools/dalle1" "$folder/expect"

tar -C "$folder" --owner=0 --group=0 -c . | xz --x86 --lzma2=preset=9e > "$file.partial"  # for programs; a large dictionary
mv "$file.partial" "$file"
# What travels is the checkout as it lies here: files that git tracks or would track.
tree=$(git ls-files -z --cached --others --exclude-standard | xargs -0 stat -c %s 2>/dev/null | awk '{ sum += $1 } END { print sum }')
packed=$(stat -c %s "$file")
awk -v tree="$tree" -v packed="$packed" -v most="$most" 'BEGIN {
  mib = 2 ^ 20
  printf "checkout %.1f MiB + pack %.1f MiB = %.1f MiB; %.0f may travel\n", tree / mib, packed / mib, (tree + packed) / mib, most / mib
  exit tree + packed > most
}' || { echo "pack.sh: too large" >&2; exit 1; }
