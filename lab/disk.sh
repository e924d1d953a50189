#!/bin/sh
# disk.sh ROOTFS KERNEL OUT.img: puts the lab's programs, container images and
# units, and the kernel's modules, into ROOTFS, and makes a disk of it.
# CGROUP_DRIVER in the environment may be cgroupfs; the default is systemd. EXHAUST, if
# not empty, takes the pods of guest/exhaust.json instead; NET those of guest/net.json,
# and adds the cases of the network, with SOCKETS sockets in one process, 2800 if it
# is empty. NET needs a ROOTFS made with NET, and so does KERNEL, which adds the cases of
# BPF, probes and settings; it needs clang, libbpf-dev and zlib1g-dev.
# FILES takes the pods of guest/files.json instead, and adds the cases of files.
# TASK adds the cases of what processes may do, wait for, hold and have in memory.
# ROOTKIT, with KERNEL, names a directory of the modules of guest/rootkit, built for the kernel.
set -eu
[ $# -eq 3 ] || { echo "usage: $0 ROOTFS KERNEL OUT.img" >&2; exit 2; }
lab=$(dirname "$(realpath "$0")")
root=$(realpath "$1")
kernel=$(realpath "$2")
out=$(realpath -m "$3")
driver=${CGROUP_DRIVER:-systemd}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Programs.
go() { (cd "$lab" && CGO_ENABLED=0 command go "$@"); }
compile() { gcc -std=gnu11 -Os -Wall -Wextra -static -s -o "$@"; }
go build -trimpath -ldflags='-s -w' -o "$root/usr/local/bin/" ./criload ./nodetruth
go build -o "$work/mkimage" ./mkimage
compile "$root/usr/local/bin/edge" "$lab"/guest/edge/*.c
compile "$work/pause" "$lab/guest/pause.c"
compile "$work/resizer" "$lab/guest/intruder.c"
install "$lab/guest/labnode" "$root/usr/local/sbin/"

# Container images, from the same files under different names.
images=$root/opt/lab/images
rm -rf "$images"
mkdir -p "$images"
set -- /bin/busybox=bin/busybox
for applet in cat echo httpd id ls nc ps sh sleep; do
	set -- "$@" "bin/$applet@busybox"
done
"$work/mkimage" -name registry.k8s.io/pause:3.9 -entrypoint /pause "$images/pause.tar" "$work/pause=pause"
"$work/mkimage" -name docker.io/library/busybox:1.35 "$images/busybox.tar" "$@"
"$work/mkimage" -name registry.example/shop/checkout:2.14.0 "$images/checkout.tar" "$@"
"$work/mkimage" -name registry.example/shop/image-resizer:0.9.3 "$images/resizer.tar" "$work/resizer=bin/resizer" "$@"
pods=$lab/guest/pods.json
if [ "${EXHAUST:-}" ]; then
	pods=$lab/guest/exhaust.json
	compile "$work/exhaust" "$lab/guest/exhaust.c"
	"$work/mkimage" -name registry.example/tenant/exhaust:1.0 "$images/exhaust.tar" "$work/exhaust=bin/exhaust"
fi

conflist=$lab/guest/cni.conflist
rm -rf "$root/opt/lab/netrules" "$root/opt/lab/net.env" "$root/opt/lab/bpf" "$root/opt/lab/rootkit"
if [ "${NET:-}" ]; then
	pods=$lab/guest/net.json
	conflist=$lab/guest/net.conflist
	compile "$root/usr/local/bin/net" "$lab"/guest/net/*.c "$lab/guest/edge/edge.c"
	install "$lab/guest/netnode" "$root/usr/local/sbin/"
	cp -r "$lab/guest/netrules" "$root/opt/lab/"
	echo "SOCKETS=${SOCKETS:-}" >"$root/opt/lab/net.env"
	"$work/mkimage" -name registry.example/lab/net:1.0 "$images/net.tar" "$root/usr/local/bin/net=bin/net"
fi

rm -rf "$root/opt/lab/files" "$root/var/files"
if [ "${FILES:-}" ]; then
	pods=$lab/guest/files.json
	compile "$root/usr/local/bin/files" "$lab"/guest/files/*.c
	install "$lab/guest/filesnode" "$root/usr/local/sbin/"
	mkdir -p "$root/opt/lab/files"
	head -c 100000 /bin/busybox >"$work/large"
	set -- "$@" "$work/large=lib/lower.large"
	for lower in etc/lower.conf etc/doomed.conf etc/kept.conf srv/tree/one srv/tree/two; do
		echo "$lower" >"$work/$(basename $lower)"
		set -- "$@" "$work/$(basename $lower)=$lower"
	done
	"$work/mkimage" -name registry.example/lab/files:1.0 "$images/files.tar" "$@"
fi

rm -rf "$root/opt/lab/task"
if [ "${TASK:-}" ]; then
	compile "$root/usr/local/bin/task" "$lab"/guest/task/*.c "$lab/guest/edge/edge.c"
	install "$lab/guest/tasknode" "$root/usr/local/sbin/"
	mkdir -p "$root/opt/lab/task"
	gcc -std=gnu11 -g -O2 -Wall -Wextra -pthread -o "$root/opt/lab/task/trace-c" "$lab/guest/trace/trace.c"
	go build -o "$root/opt/lab/task/trace-go" ./guest/trace/goroutines
	cp "$lab/guest/trace/trace.py" "$lab/guest/task/apparmor" "$root/opt/lab/task/"
	# What a compressor is told to expect. Pages of the swap cases have such lines.
	awk 'BEGIN { for (i = 0; i < 200; i++) printf "%d: line %d of a page that is swapped out\n", i, 37 * i }' >"$root/opt/lab/task/dictionary"
fi

if [ "${KERNEL:-}" ]; then
	mkdir -p "$root/opt/lab/bpf"
	for object in cases ops; do
		"${CLANG:-clang}" -O2 -g -Wall -target bpf -D__TARGET_ARCH_x86 -I/usr/include/x86_64-linux-gnu \
			-c "$lab/guest/kernel/$object.bpf.c" -o "$root/opt/lab/bpf/$object.bpf.o"
	done
	compile "$root/usr/local/bin/bpfcases" -Wno-unused-parameter "$lab/guest/kernel/bpfcases.c" -lbpf -lelf -lz
	install "$lab/guest/kernelnode" "$root/usr/local/sbin/"
fi
if [ "${ROOTKIT:-}" ]; then
	mkdir -p "$root/opt/lab/rootkit"
	cp "$ROOTKIT"/*.ko "$root/opt/lab/rootkit/"
	install "$lab/guest/rootkitnode" "$root/usr/local/sbin/"
fi

# Configuration.
mkdir -p "$root/etc/containerd" "$root/etc/cni/net.d" "$root/etc/modules-load.d" "$root/var/log/journal"
cp "$pods" "$root/opt/lab/pods.json"
echo "$driver" >"$root/opt/lab/cgroup-driver"
cp "$lab/guest/containerd.toml" "$root/etc/containerd/config.toml"
[ "$driver" = systemd ] || sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' "$root/etc/containerd/config.toml"
cp "$conflist" "$root/etc/cni/net.d/10-lab.conflist"
printf '%s\n' overlay veth >"$root/etc/modules-load.d/lab.conf"
echo gke-prod-default-pool-6f3c2a91-v4kd >"$root/etc/hostname"
echo 6f3c2a91d0b84e5c9a7b1c2d3e4f5061 >"$root/etc/machine-id"
: >"$root/etc/fstab"

# Units: the lab's, and none that only wait or run by the clock.
systemctl() { SYSTEMD_OFFLINE=1 command systemctl --root="$root" --quiet "$@"; }
cp "$lab"/guest/units/*.service "$root/etc/systemd/system/"
systemctl enable labnode edge console-shell containerd
systemctl mask serial-getty@ttyS0 getty@tty1 systemd-timesyncd apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap fstrim.timer systemd-tmpfiles-clean.timer

# The kernel's modules, and the disk.
rm -rf "$root/lib/modules"
modules=$(echo "$kernel"/lib/modules/*)
[ -d "$modules" ] || modules=$(echo "$kernel"/usr/lib/modules/*)
mkdir -p "$root/lib/modules"
cp -r "$modules" "$root/lib/modules/"
depmod -b "$root" "$(basename "$modules")"
rm -f "$out"
truncate -s 2G "$out"
# One partition, from 1 MiB to the end, on a disk of the identity "node": boot names it.
write() { printf "$2" | dd of="$out" bs=1 seek="$1" conv=notrunc status=none; }
write 440 'node'
write 446 '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\077\0'
write 510 '\125\252'
mke2fs -q -t ext4 -E offset=1048576 -d "$root" "$out" 2047M
