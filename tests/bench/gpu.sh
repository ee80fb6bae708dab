#!/usr/bin/env bash
# What a machine with a GPU is wanted for, in pieces that each end within ten minutes and can be called alone:
#
#   OUT=results tests/bench/gpu.sh [machine] [build] [tests] [decode] [train] [sanitizers] [profile]
#
# OUT gets summary.txt and one log per piece. BUILD is the build folder (build/cuda); a machine without the libraries
# that the program needs runs what another one packed:
#
#   BUILD=build/cuda tests/bench/gpu.sh pack FILE.tar.gz       # there: the program, the tests and their libraries
#   BUILD=FILE.tar.gz tests/bench/gpu.sh tests decode train    # here
set -uo pipefail
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/gpu-results}
BUILD=${BUILD:-build/cuda}
LIMIT=${LIMIT:-560}  # seconds of the longest run
mkdir -p "$OUT"
if [ "${1:-}" != pack ] && [ -f "$BUILD" ]; then
  unpacked=$(mktemp -d)
  tar -xzf "$BUILD" -C "$unpacked" || exit 1
  BUILD=$unpacked
fi
export PATH="$PATH:/usr/local/cuda/bin" DALLE1_GOLDEN="$PWD/tests/golden"  # of packed tests
program=$BUILD/tools/dalle1 tests=$BUILD/tests/dalle1_tests
# CUDA's libraries may have come as Python packages.
for folder in "$BUILD/lib" $(python3 -c 'import nvidia, glob; print(*glob.glob(list(nvidia.__path__)[0] + "/*/lib"))' \
  2>/dev/null); do
  [ -d "$folder" ] && export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done
failed=0 piece=

# name, seconds, command...: the output in the piece's log, the exit status and the time in summary.txt.
run() {
  local name=$1 seconds=$2 start=$SECONDS status=0 log
  shift 2
  log=$(mktemp)
  timeout --signal=TERM --kill-after=10 "$seconds" "$@" >"$log" 2>&1 || status=$?
  { printf '== %s\n' "$name"; cat "$log"; } >>"$OUT/$piece.log"
  printf '%-24s status %3d  %4d s\n' "$name" "$status" $((SECONDS - start)) | tee -a "$OUT/summary.txt"
  if ((status != 0)); then
    failed=1
    tail -n 15 "$log"
  fi
  rm -f "$log"
}

bench() {  # name, seconds, arguments of `dalle1 bench`
  local name=$1 seconds=$2
  shift 2
  run "$name" "$seconds" "$program" bench "$@" --device cuda --json
}

piece_machine() {
  run machine 60 bash -c 'nvidia-smi; nvcc --version; nproc; free -g; ldd "$0"' "$program"
  run doctor 60 "$program" doctor
}

piece_build() {
  run configure 120 cmake --preset cuda -B "$BUILD" -DDALLE1_TEST_FOLDERS="core;transformer;dvae;clip;rerank"
  run build "$LIMIT" cmake --build "$BUILD" --target dalle1 dalle1_tests -j "$(nproc)"
}

piece_tests() {
  run tests_cuda 240 "$tests" -tc="CUDA*" -d
  run tests_ops 240 "$tests" -tc="*op table*" -d
}

piece_decode() {
  bench decode_1_short 60 decode --config dalle1-12b --candidates 1 --cells 64
  bench decode_256_short 90 decode --config dalle1-12b --candidates 256 --cells 64
  bench decode_1 60 decode --config dalle1-12b --candidates 1
  bench decode_256 120 decode --config dalle1-12b --candidates 256
  bench decode_512_fp8 120 decode --config dalle1-12b --candidates 512 --kv-dtype fp8
}

piece_train() {  # 250M parameters, for the share of the ceiling; then 5M
  bench train_250m 240 train --layers 20 --width 1024 --heads 16 --text 256 --batch 16 --seconds 5
  bench train_5m 90 train --layers 6 --width 256 --heads 4 --text 64 --grid 16 --batch 32 --seconds 3
}

piece_sanitizers() {
  run memcheck "$((LIMIT / 2))" compute-sanitizer --tool memcheck --error-exitcode 9 "$tests" -tc="CUDA*,op table*"
  run racecheck "$((LIMIT / 2))" compute-sanitizer --tool racecheck --error-exitcode 9 "$tests" -tc="CUDA*"
}

piece_profile() {
  run profile "$LIMIT" ncu --clock-control none --launch-skip 20000 --launch-count 40 --set full "$program" bench decode \
    --config dalle1-12b --candidates 256 --cells 32 --device cuda --json
}

pack() {  # file: all that the program needs beyond the C library and CUDA
  local folder
  folder=$(mktemp -d)
  mkdir -p "$folder"/{tools,tests,lib}
  strip -o "$folder/tools/dalle1" "$program" && strip -o "$folder/tests/dalle1_tests" "$tests" || exit 1
  ldd "$program" "$tests" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    grep -vE '/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|cuda|cudart|cublas|cublasLt|cudnn[a-z_]*)\.so|/ld-' |
    xargs -I {} cp {} "$folder/lib/"
  tar -czf "$1" -C "$folder" . && rm -rf "$folder"
  ls -l "$1"
}

if [ "${1:-}" = pack ]; then
  pack "${2:?gpu.sh pack FILE.tar.gz}"
  exit
fi
[ $# -gt 0 ] || set -- machine build tests decode train sanitizers
for piece in "$@"; do
  declare -F "piece_$piece" >/dev/null || { echo "gpu.sh: there is no piece '$piece'" >&2; exit 2; }
  "piece_$piece"
done
exit "$failed"
