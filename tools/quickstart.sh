#!/usr/bin/env bash
# From a fresh checkout to a picture: installs packages, builds the program, draws.
set -euo pipefail

usage() {
  cat <<'END'
tools/quickstart.sh [PROMPT] [OPTIONS OF dalle1 sample]

  tools/quickstart.sh "a red circle above a blue square"
  tools/quickstart.sh "a desert at night" --candidates 64 --keep 8

Installs what is missing of the Debian packages, builds the program and draws 512 candidates for the prompt, of which CLIP
chooses the best 32. Options go to 'dalle1 sample', whose --help lists them once it is built.
END
}

stage() { printf '== %s (%d min %02d s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)) >&2; }

prompt="a red circle above a blue square"
case "${1-}" in
  -h | --help) usage; exit 0 ;;
  -*) ;;
  *) if [ $# -gt 0 ]; then prompt=$1; shift; fi ;;
esac
[ $# -gt 0 ] || set -- --candidates 512 --keep 32
# A second drawing of a prompt takes the place of the first, unless it is to go on with it.
case " $* " in *" --resume "*) ;; *) set -- "$@" --overwrite ;; esac

cd "$(dirname "$0")/.."
stage "packages"
tools/install_packages.sh

stage "build"
progress=(--quiet)
if [ -t 2 ]; then progress=(); fi
cmake --preset release >/dev/null
cmake --build --preset release --target dalle1 -- "${progress[@]}" >&2

stage "drawing"
build/release/tools/dalle1 sample --prompt "$prompt" "$@"

stage "done: the picture is at the path above"
echo "To have the program on your PATH: export PATH=\"$PWD/build/release/tools:\$PATH\"" >&2
