#!/usr/bin/env bash
# What a machine with a GPU is wanted for, in pieces that each end within ten minutes and can be called alone:
#
#   OUT=results tests/bench/gpu.sh [machine] [build] [tests] [decode] [train] [sanitizers] [profile]
#
# OUT gets summary.txt and one log per piece. BUILD is the build folder (build/cuda); a machine without the libraries
# that the program needs runs what another one packed:
#
#   BUILD=build/cuda tests/bench/gpu.sh pack FILE.tar.xz       # there: the program, the tests and their libraries
#   BUILD=FILE.tar.xz tests/bench/gpu.sh tests decode train    # here
set -uo pipefail
cd "$(dirname "$0")/../.."
OUT=${OUT:-build/gpu-results}
BUILD=${BUILD:-build/cuda}
LIMIT=${LIMIT:-560}  # seconds of the longest run
JOBS=${JOBS:-8}      # checks at a time
mkdir -p "$OUT"
if [ "${1:-}" != pack ] && [ -f "$BUILD" ]; then
  unpacked=$(mktemp -d)
  python3 -m tarfile -e "$BUILD" "$unpacked" || exit 1
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

# name, seconds of each, filter, a command to run them under...: every check in a process of its own, JOBS at a time,
# so that one which ends its process or leaves the GPU unusable hides no other. Logs in OUT/NAME/.
checks() {
  local name=$1 seconds=$2 filter=$3 start=$SECONDS folder=$OUT/$1 count bad
  shift 3
  mkdir -p "$folder" && rm -f "$folder"/*
  "$tests" -ltc -tc="$filter" ${EXCEPT:+-tce="$EXCEPT"} | grep '^CUDA: ' >"$folder/names"
  count=$(wc -l <"$folder/names")
  export FOLDER=$folder LIMIT_EACH=$seconds
  tr '\n' '\0' <"$folder/names" | xargs -0 -P "$JOBS" -I {} bash -c '
    log=$FOLDER/$(tr -c "[:alnum:]\n" _ <<<"$1").log
    timeout --signal=TERM --kill-after=10 "$LIMIT_EACH" "${@:2}" -tc="$1" >"$log" 2>&1 || echo "$1 (status $?)" >>"$FOLDER/failed"
  ' _ {} "$@" "$tests"
  bad=$(cat "$folder/failed" 2>/dev/null | wc -l)
  # Every figure of every check, then what failed.
  grep -H 'at most' "$folder"/*.log | sed "s|^$folder/||" >"$OUT/$name.figures"
  printf '%-24s %d of %d failed  %4d s\n' "$name" "$bad" "$count" $((SECONDS - start)) | tee -a "$OUT/summary.txt"
  ((bad == 0)) || sed 's/^/  failed: /' "$folder/failed" | tee -a "$OUT/summary.txt"
  ((bad == 0 && count > 0)) || failed=1  # no checks: no GPU
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
  checks tests 120 "CUDA*"
}

piece_decode() {
  bench decode_1_short 60 decode --config dalle1-12b --candidates 1 --cells 64
  bench decode_128_short 90 decode --config dalle1-12b --candidates 128 --cells 64
  bench decode_1 60 decode --config dalle1-12b --candidates 1
  bench decode_256 120 decode --config dalle1-12b --candidates 256
  bench decode_256_fp8 120 decode --config dalle1-12b --candidates 256 --kv-dtype fp8
  bench decode_512_mixed 120 decode --config dalle1-12b --candidates 512 --kv-dtype mixed  # 104 GB: an H200
  bench decode_512_fp8 120 decode --config dalle1-12b --candidates 512 --kv-dtype fp8
}

piece_train() {  # 250M parameters, for the share of the ceiling; then 5M
  bench train_250m 240 train --layers 20 --width 1024 --heads 16 --text 256 --batch 16 --seconds 5
  bench train_5m 90 train --layers 6 --width 256 --heads 4 --text 64 --grid 16 --batch 32 --seconds 3
}

piece_sanitizers() {
  # One check asks for memory that no device has: the refusal is its point, and an error to memcheck.
  EXCEPT="*memory that no device has" checks memcheck 120 "CUDA*" compute-sanitizer --tool memcheck --error-exitcode 9
  checks racecheck 120 "CUDA*" compute-sanitizer --tool racecheck --error-exitcode 9
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
  tar -cJf "$1" -C "$folder" . && rm -rf "$folder"
  ls -l "$1"
}

if [ "${1:-}" = pack ]; then
  pack "${2:?gpu.sh pack FILE.tar.xz}"
  exit
fi
[ $# -gt 0 ] || set -- machine build tests decode train sanitizers
for piece in "$@"; do
  declare -F "piece_$piece" >/dev/null || { echo "gpu.sh: there is no piece '$piece'" >&2; exit 2; }
  "piece_$piece"
done
exit "$failed"
