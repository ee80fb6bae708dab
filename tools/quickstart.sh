#!/usr/bin/env bash
# From a fresh checkout to pictures: installs packages, builds, samples 512 candidates for a prompt, keeps the best 32.
#   tools/quickstart.sh "a red circle above a blue square"
set -euo pipefail
cd "$(dirname "$0")/.."

prompt=${1:-"a red circle above a blue square"}
tools/install_packages.sh
cmake --preset release >/dev/null
cmake --build --preset release --target dalle1
build/release/tools/dalle1 sample --prompt "$prompt" --candidates 512 --keep 32 --overwrite
echo >&2
echo "The line above is the picture: the best 32 of 512 candidates. To have the program on your PATH:" >&2
echo "  export PATH=\"$PWD/build/release/tools:\$PATH\"" >&2
