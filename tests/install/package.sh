#!/usr/bin/env bash
# Makes the Debian packages of a build and checks them: lintian, the manual pages, and with ROOT, a Debian 12 made by
# debootstrap with its package sources set, what a user does: install, draw, compile against the library, remove.
#   tests/install/package.sh BUILD SCRATCH [ROOT]     ROOT: also from DALLE1_PACKAGE_ROOT; needs the rights to chroot
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1") scratch=$2 root=${3-${DALLE1_PACKAGE_ROOT-}}
rm -rf "$scratch"
mkdir -p "$scratch"

echo "== packages"
(cd "$build" && cpack -G DEB -B "$(realpath "$scratch")" >/dev/null)
packages=("$scratch"/*.deb)
[ "${#packages[@]}" -eq 2 ]

echo "== lintian"
if command -v lintian >/dev/null; then
  lintian --fail-on error,warning "${packages[@]}"
else
  echo "left out: lintian is not installed"
fi

echo "== manual and completion"
dpkg-deb -x "$scratch"/dalle1_*.deb "$scratch/tree"
for page in "$scratch"/tree/usr/share/man/man1/*.1.gz; do
  if command -v groff >/dev/null; then
    complaints=$(zcat "$page" | groff -man -Tascii -ww -z 2>&1)
    [ -z "$complaints" ] || { echo "$page: $complaints" >&2; exit 1; }
  fi
done
completion=$scratch/tree/usr/share/bash-completion/completions/dalle1
# What bash offers for a line that ends where the cursor is.
complete_line() {
  bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _dalle1; echo "${COMPREPLY[*]}"' _ \
    "$completion" "$@"
}
[ "$(complete_line dalle1 sam)" = sample ]
[ "$(complete_line dalle1 train cl)" = clip ]
[ "$(complete_line dalle1 sample --candi)" = --candidates ]
[ "$(complete_line dalle1 train clip --progress p)" = plain ]
[ "$(complete_line dalle1 sample --progress = j)" = json ]
[ -z "$(complete_line dalle1 rank pict)" ]  # files, which bash adds
[ -n "$root" ] || exit 0

echo "== a Debian 12: install, draw, read, compile, remove"
cp "${packages[@]}" "$here/CMakeLists.txt" "$here/consumer.cc" "$root/tmp/"
# The program finds its model by way of /proc/self/exe.
inside() {
  unshare --mount bash -c 'mount -t proc proc "$1/proc" && exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C bash -euc "$2"' _ "$root" "$1"
}
inside 'exec >/tmp/apt.log 2>&1
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends man-db bash-completion ninja-build cmake g++
  apt-get install -y -qq --no-install-recommends /tmp/dalle1_*.deb /tmp/libdalle1-dev_*.deb' || { cat "$root/tmp/apt.log" >&2; exit 1; }
inside 'cd /tmp && dalle1 sample --prompt "a meadow at noon" --candidates 2 --keep 1 --out drawn --quiet >/dev/null
  test -s drawn/grid.png
  man dalle1-sample | grep -q -e --candidates
  man dalle1 | grep -q "dalle1 complete"
  . /usr/share/bash-completion/bash_completion
  _completion_loader dalle1 || [ $? -eq 124 ]
  complete -p dalle1 >/dev/null
  rm -rf consumer.build && cmake -S . -B consumer.build -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
  cmake --build consumer.build >/dev/null
  test -s "$(consumer.build/consumer /usr/share/dalle1/default "a meadow at noon" library)"'
inside 'apt-get purge -y -qq dalle1 libdalle1-dev >/dev/null; rm -rf /tmp/*'
# What the reader of a manual page keeps is its own.
left=$(inside 'find / -xdev -name "*dalle1*" -not -path "/var/cache/man/*"')
[ -z "$left" ] || { printf 'left behind:\n%s\n' "$left" >&2; exit 1; }
