#!/bin/bash
# Builds the packages beside it: bash build.sh. Needs, of Debian 12: rpm 4.18, zstd.
set -e
cd "$(dirname "$0")"
T=$(mktemp -d); trap 'rm -rf $T' EXIT

# What kernel-debuginfo of Fedora and its kin holds, in small.
dir=usr/lib/debug/lib/modules/6.1.0-9
mkdir -p $T/root/$dir
zstd -dqc ../../../dwarfconv/testdata/gcc5.elf.zst >$T/root/$dir/vmlinux
echo text >$T/root/$dir/README
ln -s vmlinux $T/root/$dir/vmlinux.link
ln $T/root/$dir/README $T/root/$dir/again # a hard link, which cpio keeps without content but once
cat >$T/spec <<-SPEC
	Name: kernel-debuginfo
	Version: 6.1.0
	Release: 9
	Summary: A small kernel
	License: none
	%description
	%install
	mkdir -p %{buildroot}
	cp -a $T/root/. %{buildroot}
	%files
	/$dir
SPEC
# package NAME PAYLOAD
package() {
	SOURCE_DATE_EPOCH=0 rpmbuild -bb --quiet --define "_topdir $T/$1" --define "_binary_payload $2" \
		--define "_build_id_links none" --define "__os_install_post %{nil}" --define "debug_package %{nil}" \
		--define "_buildhost host" --define "use_source_date_epoch_as_buildtime 1" $T/spec
	cp $T/$1/RPMS/*/*.rpm $1.rpm
}
package xz w6.xzdio
package zstd w19.zstdio
package gzip w9.gzdio
package bzip2 w9.bzdio
package plain w.ufdio
