#!/bin/bash
# Builds the files beside it from the sources beside it: bash build.sh. Needs, of Debian 12: gcc-12, clang-16, lld-16,
# gcc-s390x-linux-gnu, binutils 2.40, dwz, zstd.
set -e
cd "$(dirname "$0")"
T=$(mktemp -d); trap 'rm -rf $T' EXIT
flags="-O1 -ffreestanding -fno-pic -fno-asynchronous-unwind-tables -fno-stack-protector -Wno-array-bounds"

# compile NAME ASSEMBLER-FLAGS COMPILER...: the objects, linked to a module (ET_REL) and to a kernel that keeps its
# relocations (ET_EXEC), as CONFIG_X86_NEED_RELOCS and Debian's kernels do.
compile() {
	local name=$1; shift
	local f
	for f in first second third; do "$@" $flags -fdebug-prefix-map="$PWD"=. -c $f.c -o $T/$name.$f.o; done
	"$@" $flags -c outside.S -o $T/$name.outside.o
}
objects() { echo $T/$1.first.o $T/$1.second.o $T/$1.third.o $T/$1.outside.o; }
kernel() { ${3:-ld} -q -z norelro -e enter -Ttext=0xffffffff81000000 -o $2 $(objects $1) 2>/dev/null; }
module() { ${3:-ld} -r -o $2 $(objects $1); }
keep() { zstd -q -19 -f $1 -o $2.zst; }

for dw in 4 5; do
	compile gcc$dw gcc-12 -gdwarf-$dw -mcmodel=kernel
	compile clang$dw clang-16 -gdwarf-$dw -mcmodel=kernel
	compile types$dw gcc-12 -gdwarf-$dw -mcmodel=kernel -fdebug-types-section
	for c in gcc$dw clang$dw types$dw; do kernel $c $T/$c.elf; keep $T/$c.elf $c.elf; done
	for c in gcc$dw clang$dw types$dw; do module $c $T/$c.ko; keep $T/$c.ko $c.ko; done
done
compile old gcc-12 -gdwarf-2 -gstrict-dwarf -mcmodel=kernel; kernel old $T/old.elf; keep $T/old.elf gcc2.elf
compile wide gcc-12 -gdwarf-5 -gdwarf64 -mcmodel=kernel; kernel wide $T/wide.elf; keep $T/wide.elf gcc5-64bit.elf
compile split gcc-12 -gdwarf-5 -gsplit-dwarf -mcmodel=kernel; kernel split $T/split.elf; keep $T/split.elf split.elf
compile s390 s390x-linux-gnu-gcc -gdwarf-5; s390x-linux-gnu-ld -e enter -o $T/s390.elf $(objects s390); keep $T/s390.elf s390x-gcc5.elf
compile s390old s390x-linux-gnu-gcc -gdwarf-3 -gstrict-dwarf; s390x-linux-gnu-ld -e enter -o $T/s390old.elf $(objects s390old); keep $T/s390old.elf s390x-gcc3.elf
s390x-linux-gnu-ld -r -o $T/s390.ko $(objects s390); keep $T/s390.ko s390x-gcc5.ko
compile arm clang-16 --target=aarch64-linux-gnu -gdwarf-5; ld.lld-16 -r -o $T/arm.ko $(objects arm); keep $T/arm.ko arm64-clang5.ko
for z in zlib zlib-gnu zstd; do objcopy --compress-debug-sections=$z $T/gcc5.elf $T/$z.elf; keep $T/$z.elf gcc5-$z.elf; done
objcopy --compress-debug-sections=zlib $T/clang5.ko $T/z.ko; keep $T/z.ko clang5-zlib.ko
objcopy --strip-all --keep-section=.debug* $T/gcc5.elf $T/nosym.elf 2>/dev/null; keep $T/nosym.elf gcc5-nosymtab.elf
strip -o $T/stripped.elf $T/gcc5.elf; keep $T/stripped.elf stripped.elf
# A unit with two members and two constants of one name, and one with a type too deep, beside whole ones.
for c in gcc-12 clang-16; do
	for f in first second third deepest deep; do $c $flags -gdwarf-5 -mcmodel=kernel -fdebug-prefix-map="$PWD"=. -c $f.c -o $T/odd.$f.o; done
	$c $flags -gdwarf-5 -mcmodel=kernel -fdebug-prefix-map="$PWD"=. -S odd.c -o - | sed 's/"first"/"second"/; s/"FIRST"/"SECOND"/' >$T/odd.s
	$c $flags -c outside.S -o $T/odd.outside.o; $c -c $T/odd.s -o $T/odd.odd.o
	ld -e enter -Ttext=0xffffffff81000000 -o $T/odd.elf $T/odd.*.o; keep $T/odd.elf odd-${c%-*}5.elf
done
# dwz drops relocations, so it takes a kernel without.
for dw in 4 5; do ld -e enter -Ttext=0xffffffff81000000 -o $T/dwz.elf $(objects gcc$dw) && dwz $T/dwz.elf && keep $T/dwz.elf gcc$dw-dwz.elf; done
# Kernels that say less than analysis needs.
printf 'struct task_struct { int pid; char comm[16]; };\n' >$T/sched.h
printf '%s\n' '#include "sched.h"' '__attribute__((used)) const char linux_banner[] = "Linux version 6.1.0-test\n";' 'struct task_struct init_task;' >$T/main.c
gcc-12 -g1 -c $T/main.c -o $T/g1.elf; keep $T/g1.elf reduced-g1.elf
gcc-12 -g -femit-struct-debug-baseonly -c $T/main.c -o $T/baseonly.elf; keep $T/baseonly.elf reduced-baseonly.elf
# Packed in other ways: as a whole, and in Debian packages as linux-image-*-dbg has it.
for z in xz gzip bzip2; do $z -9 -c $T/gcc5.elf >gcc5.elf.$z; done
nm -n $T/gcc5.elf >gcc5.map
P=$T/package; mkdir -p $P/DEBIAN $P/usr/lib/debug/boot $P/usr/lib/debug/lib/modules/0.0.0-test/kernel $P/usr/share/doc
printf '%s\n' 'Package: linux-image-0.0.0-test-dbg' 'Version: 0.0.0-1' 'Architecture: amd64' 'Maintainer: nobody <nobody@nowhere>' 'Description: test' >$P/DEBIAN/control
cp $T/gcc5.ko $P/usr/lib/debug/lib/modules/0.0.0-test/kernel/first.ko; echo >$P/usr/share/doc/vmlinux.txt
dpkg-deb --root-owner-group -Zxz -b $P empty.deb >/dev/null
cp $T/gcc5.elf $P/usr/lib/debug/boot/vmlinux-0.0.0-test
for z in xz zstd gzip; do dpkg-deb --root-owner-group -Z$z -b $P $z.deb >/dev/null; done
mv $P/usr/lib/debug/boot/vmlinux-0.0.0-test $P/usr/lib/debug/lib/modules/0.0.0-test/vmlinux
ln -s ../lib/modules/0.0.0-test/vmlinux $P/usr/lib/debug/boot/vmlinux-0.0.0-test
dpkg-deb --root-owner-group -Zxz -b $P link.deb >/dev/null
