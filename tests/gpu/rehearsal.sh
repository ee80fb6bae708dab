#!/usr/bin/env bash
# The first call of the quarter of an hour on a GPU, rehearsed on this machine's CPU: packs a build, copies the checkout's
# files and the pack, nothing else, into an empty folder, and runs the call there without our packages or a compiler.
#   tests/gpu/rehearsal.sh BUILD                     with an empty environment and only Python on the PATH; minutes
#   tests/gpu/rehearsal.sh BUILD --chroot            in a new Debian 12 of debootstrap with nothing but Python, numpy, Pillow
#                                                    and scipy, and killed in every stage; needs root and debootstrap
#   tests/gpu/rehearsal.sh BUILD --chroot --torch    with PyTorch, too: about 2 GB in TMPDIR or /var/tmp
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
build=$1 kind=${2:-} torch=${3:-}
most_tree=41  # MiB: with a pack of 22 for a GPU as much as may travel
most_model=21  # MB of weights/default
if [ "$kind" = --chroot ] && [ "${REHEARSAL_NAMESPACE:-}" != yes ]; then
  REHEARSAL_NAMESPACE=yes exec unshare --mount "$here/rehearsal.sh" "$@"
fi
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/dalle1-rehearsal.XXXXXX")
root=$scratch/root through=()
. tests/new_root.sh
trap 'unmount_root "$root"; rm -rf --one-file-system "$scratch"' EXIT

if [ "$kind" = --chroot ]; then
  echo "== a new Debian 12"
  new_root "$root"
  chroot "$root" apt-get update -qq
  chroot "$root" apt-get install -y -qq --no-install-recommends python3-numpy python3-pil python3-scipy \
    ${torch:+python3-torch} >/dev/null
  # shellcheck disable=SC2016
  through=(chroot "$root" /bin/sh -c 'cd /checkout && exec "$@"' -)
fi
checkout=$root/checkout
mkdir -p "$checkout/build"

echo "== pack"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -cT - 2>/dev/null | tar -xC "$checkout"
EXPECTED_PICTURES=${EXPECTED_PICTURES:-16} RACE_STEPS=${RACE_STEPS:-3} RACE_BATCH=2 BUILD=$build \
  tools/gpu/pack.sh "$checkout/build/gpu-pack.tar.xz"
tree=$(find "$checkout" -type f ! -name gpu-pack.tar.xz -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
[ "$tree" -le $((most_tree << 20)) ] || { echo "the checkout is above $most_tree MiB: $tree bytes" >&2; exit 1; }
model=$(du -cb weights/default/*.safetensors weights/default/*.model | tail -n 1 | cut -f 1)
[ "$model" -le $((most_model * 1000000)) ] || { echo "weights/default is above $most_model MB: $model bytes" >&2; exit 1; }

echo "== rehearsal"
if [ "$kind" = --chroot ]; then
  REHEARSAL_PATH=/usr/bin:/bin /usr/bin/python3 "$here/rehearsal.py" "$checkout" $torch --by-time --kill preflight \
    --kill pictures --kill tokens --kill race --kill train --kill sample --kill bring -- "${through[@]}"
else
  mkdir "$scratch/bin"
  ln -s /usr/bin/python3 /bin/sh /usr/bin/dirname "$scratch/bin/"
  REHEARSAL_PATH=$scratch/bin /usr/bin/python3 "$here/rehearsal.py" "$checkout" --by-time
fi
