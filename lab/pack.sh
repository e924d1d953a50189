#!/bin/sh
# pack.sh BOOTED KERNEL OUT: makes of what boot left in BOOTED the three files
# of a node image, with their checksums, in OUT: memory, symbols, truth.
# ISF in the environment names a symbol database to take instead of making one.
set -eu
[ $# -eq 3 ] || { echo "usage: $0 BOOTED KERNEL OUT" >&2; exit 2; }
lab=$(dirname "$(realpath "$0")")
booted=$(realpath "$1")
kernel=$(realpath "$2")
mkdir -p "$3"
out=$(realpath "$3")

rm -rf "$booted/truth"
tar -x -f "$booted/truth.tar" -C "$booted"
cp "$booted/registers.txt" "$booted/truth/"
tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$booted/truth" . | xz -9e >"$out/node.truth.tar.xz"

(cd "$lab" && go run ./elf2lime -iomem "$booted/truth/proc/iomem" "$booted/dump.elf" "$booted/node.lime")
# Independent blocks of 64 KiB, so that a reader can start at any of them.
lz4 -q -f -12 -B4 -BX --content-size "$booted/node.lime" "$out/node.lime.lz4"

if [ -n "${ISF:-}" ]; then
	cp "$ISF" "$out/node.isf.json.xz"
else
	vmlinux=$(echo "$kernel"/usr/lib/debug/boot/vmlinux-*)
	(cd "$lab/.." && go run ./examples/vmlinux2isf -o "$out/node.isf.json.xz" "$vmlinux")
fi
(cd "$out" && sha256sum node.lime.lz4 node.isf.json.xz node.truth.tar.xz >SHA256SUMS)
