#!/usr/bin/env bash
# Builds everything and runs all tests but the long ones. Options go to ctest instead of that choice:
#   tools/test.sh             every test of a change, about two minutes after the build
#   tools/test.sh -L long     hundreds of kills and whole trainings
#   tools/test.sh -R core     one folder
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- --label-exclude long

tools/install_packages.sh --test
cmake --preset release -DDALLE1_MPI=ON >/dev/null
cmake --build --preset release
ctest --preset release "$@"
