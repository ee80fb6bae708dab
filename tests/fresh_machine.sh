#!/usr/bin/env bash
# The README's two commands, word by word, on a machine that has nothing: a new Debian 12 root made by debootstrap, the
# last commit of this checkout in it, and nothing else but the package mirror's settings, /proc, /dev and /sys.
#   tests/fresh_machine.sh [--keep] [--without PACKAGE] [--quickstart OPTIONS] [--openai-js FOLDER] [CTEST OPTIONS]
# --keep leaves the root for a look and says where it is. --without takes PACKAGE out of tools/install_packages.sh first:
# then this must fail, or the list need not name the package. --quickstart "--candidates 16" draws less.
# --openai-js: FOLDER has node_modules/openai; with it and Debian's nodejs that client's test does not skip.
# Options for ctest go to tools/test.sh. Needs root (mounts, chroot) and debootstrap; about 3 GB in TMPDIR or /var/tmp.
set -euo pipefail

case "${1-}" in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0"; exit 0 ;; esac

refuse() { echo "fresh_machine.sh: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || refuse "needs root for mounts and chroot: sudo $0"
for tool in debootstrap git unshare; do
  command -v "$tool" >/dev/null || refuse "needs $tool: tools/install_packages.sh --fresh"
done
# Mounts belong to a namespace of their own: whatever happens, the machine keeps none of them.
if [ "${DALLE1_FRESH_NAMESPACE:-}" != yes ]; then
  DALLE1_FRESH_NAMESPACE=yes exec unshare --mount "$0" "$@"
fi
unset DALLE1_FRESH_NAMESPACE

keep='' without='' quickstart=() client=''
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=yes; shift ;;
    --without) without=$2; shift 2 ;;
    --openai-js) client=$2; shift 2 ;;
    --quickstart) read -ra quickstart <<< "$2"; shift 2 ;;
    *) break ;;
  esac
done

checkout=$(cd "$(dirname "$0")/.." && git rev-parse --show-toplevel)
[ -z "$(git -C "$checkout" status --porcelain)" ] ||
  echo "fresh_machine.sh: changes that are not committed are left out" >&2
root=$(mktemp -d "${TMPDIR:-/var/tmp}/dalle1-fresh.XXXXXX")
chmod 755 "$root"  # apt downloads as a user of its own

. "$checkout/tests/new_root.sh"
clean_up() {
  unmount_root "$root"
  if [ -n "$keep" ]; then
    echo "the root is kept: chroot $root" >&2
  else
    rm -rf --one-file-system "$root"
  fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stage() { printf '== fresh machine: %s (%d min %02d s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
inside() {
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    ${client:+DALLE1_OPENAI_JS=/openai-js} /bin/bash -c 'cd /dalle1 && exec "$@"' - "$@" </dev/null
}

stage "a new Debian 12"
new_root "$root" || refuse "debootstrap failed"
git clone --quiet --no-hardlinks "$checkout" "$root/dalle1"
if [ -n "$without" ]; then
  sed -i -E "s/([( ])$without([ )]|\$)/\1\2/" "$root/dalle1/tools/install_packages.sh"
  ! grep -qE "[( ]$without([ )]|\$)" "$root/dalle1/tools/install_packages.sh" ||
    refuse "$without could not be taken out of tools/install_packages.sh"
fi

stage "tools/quickstart.sh"
inside tools/quickstart.sh "a red circle above a blue square" "${quickstart[@]}"
sheet=$root/dalle1/$(cd "$root/dalle1" && echo dalle1-out/*/grid.png)
test -s "$sheet" || refuse "quickstart drew no sheet"
# The quickstart's build has no MPI, the tests' has: that it says so is to be seen here.
code=0
inside env OMPI_COMM_WORLD_SIZE=2 build/release/tools/dalle1 doctor || code=$?
[ "$code" -eq 6 ] || refuse "a build without MPI, started as two processes, ended with $code instead of 6"

if [ -n "$client" ]; then
  mkdir "$root/openai-js"
  cp -r "$client/node_modules" "$root/openai-js/"
  inside /bin/bash -c 'DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs >/dev/null'
fi

stage "tools/test.sh"
inside tools/test.sh "$@"
stage "passed"
