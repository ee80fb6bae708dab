#!/usr/bin/env bash
# Installs a build into a scratch folder, then uses it as a stranger would: the program with the model it finds
# beside itself, the library through its CMake package and through pkg-config.
#   tests/install/check.sh BUILD SCRATCH
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1 scratch=$2
rm -rf "$scratch"
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null

echo "== program"
cd "$scratch"
prefix/bin/dalle1 sample --prompt "a meadow at noon" --candidates 2 --keep 1 --out drawn --quiet
test -s drawn/grid.png

echo "== CMake package"
cmake -S "$here" -B cmake -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$scratch/prefix" >/dev/null
cmake --build cmake >/dev/null
test -s "$(cmake/consumer prefix/share/dalle1/default "a meadow at noon" library)"

echo "== pkg-config"
export PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig
# Word splitting is meant: these are lists of options.
g++ $(pkg-config --cflags dalle1) "$here/consumer.cc" $(pkg-config --libs dalle1) -o consumer
test -s "$(./consumer prefix/share/dalle1/default "a meadow at noon" pkgconfig)"
cmp library/results.jsonl pkgconfig/results.jsonl
