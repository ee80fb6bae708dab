#!/usr/bin/env bash
# Builds everything and runs all tests. Options go to ctest, e.g. tools/test.sh -L core
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install_packages.sh --test
cmake --preset release >/dev/null
cmake --build --preset release
ctest --preset release "$@"
