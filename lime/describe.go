package lime

import (
	"bytes"
	"fmt"
	"io"
)

// looks are the beginnings of what is taken for one now and then.
var looks = []struct{ prefix, what string }{
	{"LiME", "a LiME image of a big-endian machine, which is not supported"},
	{magic, "a LiME header that makes no sense"},
	{avmlMagic, "an AVML header that makes no sense"},
	{"\x7fELF", "an ELF file; package kcore reads ELF cores"},
	{"KDUMP   ", "a kdump-compressed image; package kdump reads those"},
	{"DISKDUMP", "a diskdump image; package kdump reads those"},
	{"makedumpfile", "a flattened kdump-compressed image; package kdump reads those"},
	{"QFI\xfb", "a QEMU disk image"},
	{"\x38\x8d", "zlib data, as LiME's compress=1 makes; decompress it first"},
	{"\x1f\x8b", "gzip data; decompress it first"},
	{"\xfd7zXZ\x00", "xz data; decompress it first"},
	{"\x28\xb5\x2f\xfd", "zstd data; decompress it first"},
	{"BZh", "bzip2 data; decompress it first"},
	{"PK\x03\x04", "a zip archive; unpack it first"},
	{string(make([]byte, headerSize)), "zeros; raw and padded images have no headers, package raw reads them"},
}

// describe says what a file looks like that is not an image of this package.
func describe(r io.ReaderAt) string {
	b := make([]byte, headerSize)
	n, _ := r.ReadAt(b, 0)
	for _, l := range looks {
		if bytes.HasPrefix(b[:n], []byte(l.prefix)) {
			return "it is " + l.what
		}
	}
	if n == 0 {
		return "it is empty"
	}
	return fmt.Sprintf("it begins with % x", b[:min(n, 8)])
}
