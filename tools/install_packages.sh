#!/usr/bin/env bash
# Installs the Debian packages that building, testing and making the training set need. Uses sudo only when it must.
#   tools/install_packages.sh          what building and running the program needs
#   tools/install_packages.sh --test   also what its tests need
#   tools/install_packages.sh --mpi    also what builds for several processes need
#   tools/install_packages.sh --fuzz   also clang, for the fuzz targets
#   tools/install_packages.sh --format also clang-format and clang-tidy
#   tools/install_packages.sh --fresh  also what tests/fresh_machine.sh needs
#   tools/install_packages.sh --data   also what tools/data needs to make the training set
set -euo pipefail

# oneDNN's CMake package wants the OpenCL loader, which libdnnl-dev only recommends.
packages=(cmake ninja-build g++ python3 libdnnl-dev ocl-icd-opencl-dev libeigen3-dev libsentencepiece-dev
  libstb-dev doctest-dev nlohmann-json3-dev libcli11-dev libfmt-dev libicu-dev libarchive-dev zlib1g-dev libssl-dev
  libboost-dev libfreetype-dev fonts-dejavu-core)
for option in "$@"; do
  case "$option" in
    --test) packages+=(python3-pil python3-scipy chromium git xz-utils libopenmpi-dev openmpi-bin) ;;
    --mpi) packages+=(libopenmpi-dev openmpi-bin) ;;
    --fuzz) packages+=(clang-14 libclang-rt-14-dev) ;;
    --format) packages+=(clang-format-14 clang-tidy-14) ;;
    --fresh) packages+=(debootstrap git) ;;
    --data) packages+=(python3-pil python3-scipy librsvg2-bin npm) ;;
    --bench) packages+=(libopenblas-dev) ;;
    *) echo "install_packages.sh: unknown option '$option'" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  # Node's own packages bring npm too, and Debian's does not go with them.
  if [ "$package" = npm ] && command -v npm >/dev/null; then continue; fi
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi

run=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install_packages.sh: run as root or install sudo; needed: ${missing[*]}" >&2; exit 1; }
  run=(sudo)
fi
echo "installing: ${missing[*]}" >&2
"${run[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
