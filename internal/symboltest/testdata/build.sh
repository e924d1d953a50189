#!/bin/bash
# Builds the files beside it from the sources beside it: bash build.sh. Needs, of Debian 12: gcc-12, binutils 2.40,
# pahole 1.24 and zstd.
set -e
cd "$(dirname "$0")"
T=$(mktemp -d); trap 'rm -rf $T' EXIT

# kernel NAME RELEASE BUILD BUILD-ID
kernel() {
	gcc-12 -g -gdwarf-5 -O1 -ffreestanding -fno-pic -mcmodel=kernel -fno-asynchronous-unwind-tables -fcf-protection=none \
		-fdebug-prefix-map="$PWD"=. -DRELEASE="\"$2\"" -DBUILD="\"$3\"" -c kernel.c -o $T/$1.o
	ld -T kernel.lds -z max-page-size=4096 -z noexecstack --build-id=0x$4 -o $T/$1.vmlinux $T/$1.o
	zstd -q -19 -f $T/$1.vmlinux -o $1.vmlinux.zst
}
kernel running 6.1.0-9 "#1 SMP Tue Nov 3 11:00:00 UTC 2026" 00112233445566778899aabbccddeeff00112233
kernel rebuilt 6.1.0-9 "#1 SMP Wed Nov 4 12:00:00 UTC 2026" ffeeddccbbaa99887766554433221100ffeeddcc
kernel older 5.10.0-7 "#1 SMP Mon Nov 2 10:00:00 UTC 2026" 0123456789abcdef0123456789abcdef01234567

# The debug information alone, as distributions put it beside a stripped kernel.
objcopy --only-keep-debug $T/running.vmlinux $T/running.debug
zstd -q -19 -f $T/running.debug -o running.debug.zst

# What a machine that runs it shows as /sys/kernel/btf/vmlinux, and its System.map.
pahole --btf_encode_detached=$T/running.btf $T/running.vmlinux
zstd -q -19 -f $T/running.btf -o running.btf.zst
nm -n $T/running.vmlinux >$T/running.map
zstd -q -19 -f $T/running.map -o running.map.zst
