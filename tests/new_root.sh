# A new Debian 12 in a folder, for tests that want a machine on which nothing is installed. To be sourced; needs root and
# debootstrap, and a mount namespace of its own (unshare --mount), so that whatever happens the machine keeps no mount.

# What this machine's apt uses for bookworm, a proxy included; a machine with another Debian gives nothing here, and
# debootstrap's own mirror serves.
mirrors() {
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    grep -E ' bookworm(-updates|-security)? ' | sort -u
}

new_root() {  # folder: debootstrap's log is beside it when that fails
  local root=$1 sources mirror tree
  sources=$(mirrors || true)
  mirror=$(awk '$3 == "bookworm" {print $2; exit}' <<< "$sources")
  debootstrap --variant=minbase bookworm "$root" $mirror >"$root.log" 2>&1 || { cat "$root.log" >&2; return 1; }
  rm "$root.log"
  [ -z "$sources" ] || echo "$sources" > "$root/etc/apt/sources.list"
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?|Check-|Retries)' > "$root/etc/apt/apt.conf.d/90mirror" || true
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  mount -t proc proc "$root/proc"
  for tree in dev sys; do
    mount --rbind "/$tree" "$root/$tree"
    mount --make-rslave "$root/$tree"
  done
}

unmount_root() {  # folder
  local mounted
  for mounted in proc dev sys; do
    if mountpoint -q "$1/$mounted"; then umount --recursive "$1/$mounted"; fi
  done
}
