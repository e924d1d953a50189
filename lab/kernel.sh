#!/bin/sh
# kernel.sh DIR: unpacks this Debian release's cloud kernel into DIR: boot
# image, modules, and the vmlinux with debug information (about 1 GB).
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")

image=$(apt-cache show --no-all-versions linux-image-cloud-amd64 | sed -n 's/^Depends:.*\(linux-image-[^ ,]*\).*/\1/p')
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
(cd "$packages" && apt-get -o APT::Sandbox::User=root download "$image" "$image-dbg")
for package in "$packages"/*.deb; do
	case $package in
	*-dbg_*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir" --wildcards './usr/lib/debug/boot/vmlinux*' ;;
	*) dpkg-deb -x "$package" "$dir" ;;
	esac
done
