#!/bin/sh
# Builds the fuzz targets with clang's libFuzzer, address and undefined-behaviour sanitizers and runs each for a while.
#   tests/fuzz/run.sh [seconds per target, 60] [build folder] [targets...]
# Findings are left in the build folder as crash-*, oom-*, timeout-*; the exit status is then 1.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-60}
build=${2:-$root/build/fuzz}
[ $# -le 2 ] || { shift 2; targets=$*; }
targets=${targets:-safetensors zip legacy pickle tokenizer model_json yaml request}
clang=${CLANGXX:-$(command -v clang++-14 || command -v clang++)}
mkdir -p "$build/objects"

# What the readers need: no models, no devices.
sources=$(ls "$root"/weights/*.cc "$root"/core/text/*.cc | grep -v -e /load.cc -e /training_state.cc -e /presets.cc -e /read_config.cc \
  -e /import -e /open.cc -e /hub_dir.cc -e /describe.cc)
sources="$sources $root/core/error.cc $root/core/json.cc $root/core/tensor/dtype.cc $root/core/io/atomic_file.cc $root/core/io/file_bytes.cc $root/core/io/file_kind.cc $root/core/io/input_file.cc $root/core/io/mapped_file.cc"
sources="$sources $root/core/config/fields.cc $root/core/nn/rotary_angles.cc $root/rerank/generation_options.cc $root/rerank/scorer.cc $root/rerank/cell_ranges.cc
         $root/tools/serve/http/form.cc $root/tools/serve/http/body.cc $root/tools/serve/image_request.cc $root/tools/serve/http/api_error.cc"
flags="-std=c++20 -O1 -g1 -fno-omit-frame-pointer -march=x86-64-v3 -I$root -fsanitize=fuzzer-no-link,address,undefined
       -fno-sanitize-recover=all"
makefile=$build/Makefile
{
  printf 'all:'; for target in $targets; do printf ' %s' "$build/fuzz_$target"; done; echo
  objects=
  for source in $sources; do
    [ -e "$source" ] || continue
    object=$build/objects/$(echo "${source#"$root"/}" | tr / _).o
    objects="$objects $object"
    printf '%s: %s\n\t%s %s -c %s -o %s\n' "$object" "$source" "$clang" "$(echo $flags)" "$source" "$object"
  done
  for target in $targets; do
    printf '%s: %s %s\n\t%s %s -fsanitize=fuzzer %s %s -o %s -lfmt -lz -lsentencepiece -lsentencepiece_train -licuuc -licui18n -larchive -lcrypto\n' \
      "$build/fuzz_$target" "$root/tests/fuzz/fuzz_$target.cc" "$objects" \
      "$clang" "$(echo $flags)" "$root/tests/fuzz/fuzz_$target.cc" "$objects" "$build/fuzz_$target"
  done
} > "$makefile"
make -s -j"${JOBS:-2}" -f "$makefile" all

status=0
cd "$build"
for target in $targets; do
  mkdir -p "corpus/$target"
  set --
  case $target in
    zip) set -- "$root/tests/golden/rudalle/grid8_six_layers.bin" ;;
    legacy) set -- "$root/tests/golden/openai_dvae/decoder_legacy.pkl" ;;
    tokenizer) set -- "$root/tests/golden/yttm/bpe.model" "$root/weights/default/text.model" ;;
    yaml) set -- "$root/tests/golden/rudalle_vqgan/vqgan_f8_dwt_config.yml" ;;
  esac
  # A whole published file goes through once; mutations start from small seeds, hundreds of times faster.
  for golden; do
    ./fuzz_"$target" "$golden" > "log-$target-$(basename "$golden")" 2>&1 || { status=1; echo "$target: FOUND something in $golden"; }
  done
  # Leaks are on; a single allocation above 66 MB, 10 s for one input or 2 GB in all end the run.
  if ./fuzz_"$target" -max_total_time="$seconds" -max_len=20000 -timeout=10 -malloc_limit_mb=66 -rss_limit_mb=2048 \
      -print_final_stats=1 -verbosity=0 "corpus/$target" "$root/tests/fuzz/seeds/$target" > "log-$target" 2>&1; then
    echo "$target: $seconds s, $(sed -n 's/^stat::number_of_executed_units: *//p' "log-$target") inputs, nothing found"
  else
    status=1
    echo "$target: FOUND something; see $build/log-$target"
    grep -m3 -e ERROR -e 'runtime error' -e 'a refusal' -e 'bytes of memory' -e SUMMARY "log-$target" || tail -5 "log-$target"
  fi
done
exit $status
