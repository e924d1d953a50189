#!/bin/sh
# rootfs.sh DIR: makes the node's root file system in DIR from packages of this
# Debian release: systemd, containerd, runc and little else. Needs root. NET in
# the environment, if not empty, adds the programs that disk.sh needs with NET,
# TASK those that it can use with TASK: a debugger, Python, AppArmor's loader.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }

release=$(. /etc/os-release && echo "$VERSION_CODENAME")
# The mirror is the one that apt takes this release's main archive from.
mirror=$(apt-get indextargets --format '$(CODENAME) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
	awk -v release="$release" '$1 == release && $2 == "Debian" { print $3; exit }')
include=systemd-sysv,dbus,containerd,runc,containernetworking-plugins,iproute2,kmod
[ -z "${NET:-}" ] || include=$include,nftables,iptables,conntrack,ipset,ipvsadm,ethtool,bpftool
debootstrap --variant=minbase \
	--include="$include" \
	"$release" "$1" "$mirror"
# debootstrap does not know packages that others provide, on which the debugger depends.
[ -z "${TASK:-}" ] || chroot "$1" sh -c 'apt-get -q update && apt-get -qy --no-install-recommends install gdb python3-minimal apparmor && apt-get clean'
