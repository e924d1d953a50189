#!/bin/sh
# make-node.sh WORK: makes the bundled node image anew, in the directory node
# beside this script. WORK keeps the parts; those that are there are not made
# again. Needs Debian, root, and the packages that the README names.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 WORK" >&2; exit 2; }
lab=$(dirname "$(realpath "$0")")
mkdir -p "$1"
work=$(realpath "$1")

[ -d "$work/kernel" ] || "$lab/kernel.sh" "$work/kernel"
[ -d "$work/rootfs" ] || "$lab/rootfs.sh" "$work/rootfs"
"$lab/disk.sh" "$work/rootfs" "$work/kernel" "$work/node.img"
(cd "$lab" && go run ./boot -kernel "$(echo "$work"/kernel/boot/vmlinuz-*)" -disk "$work/node.img" -out "$work/booted" \
	-memory "${MEMORY:-192}" -append "init_on_free=1 systemd.show_status=0 systemd.default_timeout_start_sec=600")
"$lab/pack.sh" "$work/booted" "$work/kernel" "$lab/node"
