// Package filetype says what a file is that is none of those a program reads, by its
// first bytes, so that an error can speak of the file and not of what was tried with it.
package filetype

import (
	"bytes"
	"io"
)

// A Type is what a file is.
type Type struct {
	Is string // with its article, such as "a JPEG picture"
	Do string // what to do to get at what may be in it; empty where there is nothing
}

// A sign is what files of a type have at an offset.
type sign struct {
	offset int
	magic  string
	is     string
	do     string
}

// What to do with what is no memory, but may hold it.
const (
	unpack  = "unpack it first"
	convert = "an image of memory is taken by other means than one of the disk"
	newer   = "write the memory in a format that is supported, such as an ELF core (virsh dump --memory-only)"
)

// signs are asked in this order. Each has at least four bytes: memory without a header can
// begin with anything.
var signs = []sign{
	{0, "\xff\xd8\xff\xe0", "a JPEG picture", ""},
	{0, "\xff\xd8\xff\xe1", "a JPEG picture", ""},
	{0, "\xff\xd8\xff\xdb", "a JPEG picture", ""},
	{0, "\xff\xd8\xff\xee", "a JPEG picture", ""},
	{0, "\x89PNG\r\n\x1a\n", "a PNG picture", ""},
	{0, "GIF87a", "a GIF picture", ""},
	{0, "GIF89a", "a GIF picture", ""},
	{0, "%PDF-", "a PDF document", ""},
	{0, "SQLite format 3\x00", "an SQLite database", ""},

	{0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive", unpack},
	{0, "Rar!\x1a\x07", "a RAR archive", unpack},
	{0, "070701", "a cpio archive", unpack},
	{0, "070702", "a cpio archive", unpack},
	{0, "!<arch>\ndebian-binary", "a Debian package", "a -dbg package holds symbols, and no memory"},
	{0, "!<arch>\n", "an ar archive", unpack},
	{0, "\xed\xab\xee\xdb", "an RPM package", "a debuginfo package holds symbols, and no memory"},
	{0, "BZh91AY&SY", "compressed by bzip2, which has no random access", "decompress it first: bunzip2 NAME"},
	{0, "LZIP", "compressed by lzip, which is not supported", "decompress it first: lzip -d NAME"},
	{0, "\x89LZO\x00\r\n\x1a\n", "compressed by lzop, which is not supported", "decompress it first: lzop -d NAME"},

	{0, "QFI\xfb", "a QEMU disk image (qcow2)", convert},
	{0, "KDMV", "a VMware disk image (VMDK)", convert},
	{0, "# Disk DescriptorFile", "the descriptor of a VMware disk image (VMDK)", convert},
	{0, "vhdxfile", "a Hyper-V disk image (VHDX)", convert},
	{0, "conectix", "a Hyper-V disk image (VHD)", convert},
	{64, "\x7f\x10\xda\xbe", "a VirtualBox disk image (VDI)", convert},
	{0, "EVF\x09\x0d\x0a\xff\x00", "an EnCase image (E01)", "export what is in it as a raw file first: ewfexport NAME"},
	{0, "EVF2\x0d\x0a\x81\x00", "an EnCase image (Ex01)", "export what is in it as a raw file first: ewfexport NAME"},
	{0, "LibvirtQemudSave", "the saved state of a virtual machine (virsh save)", newer},
	{0, "QEVM", "the saved state of a virtual machine (QEMU)", newer},
	{0, "\xd0\xbe\xd2\xbe", "the saved state of a VMware machine", "its memory is in the .vmem file beside it"},
	{0, "\xd1\xba\xd1\xba", "the saved state of a VMware machine", "its memory is in the .vmem file beside it"},
	{0, "\xd2\xbe\xd2\xbe", "the saved state of a VMware machine", "its memory is in the .vmem file beside it"},
	{0, "PAGEDU64", "a crash dump of Windows", ""},
	{0, "PAGEDUMP", "a crash dump of Windows", ""},
	{0, "LiME", "a LiME image of a big-endian machine, which is not supported", ""},

	{0, "XFSB\x00\x00", "an XFS file system", convert},
	{0, "hsqs", "a SquashFS file system", convert},
	{0, "LUKS\xba\xbe", "an encrypted disk (LUKS)", convert},
	{512, "EFI PART", "a disk with partitions (GPT)", convert},
	{4096, "EFI PART", "a disk with partitions (GPT)", convert},
	{512, "LABELONE", "a disk of LVM", convert},
	{3, "NTFS    ", "an NTFS file system", convert},
	{82, "FAT32   ", "a FAT file system", convert},
	{54, "FAT16   ", "a FAT file system", convert},
	{4086, "SWAPSPACE2", "a swap area", "it holds pages that were not in memory"},
	{32769, "CD001", "the image of a CD (ISO 9660)", convert},
	{65600, "_BHRfS_M", "a Btrfs file system", convert},

	{514, "HdrS", "a kernel to boot (bzImage)", "it may hold symbols, and no memory"},
	{257, "ustar", "a tar archive", unpack + ": tar -xf NAME"},
	{0, "PK\x03\x04", "a zip archive", unpack + ": unzip NAME"},
	{0, "PK\x05\x06", "an empty zip archive", ""},
}

// HeadSize is how much of a file is looked at, in bytes.
const HeadSize = 66 << 10

// Of says what the file in r is. It reads the beginning alone. ok is false where that
// tells nothing: memory is among these files.
func Of(r io.ReaderAt) (t Type, ok bool) {
	head := make([]byte, HeadSize)
	n, _ := r.ReadAt(head, 0)
	return OfHead(head[:n])
}

// OfHead is Of for a file that begins with head: all of it, or its first HeadSize bytes.
func OfHead(head []byte) (t Type, ok bool) {
	if len(head) == 0 {
		return Type{Is: "empty"}, true
	}
	for _, s := range signs {
		if len(head) > s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.magic)) {
			return s.typeOf(head), true
		}
	}
	for _, detect := range []func([]byte) (Type, bool){elf, program, extFS, bootSector, text} {
		if t, ok := detect(head); ok {
			return t, true
		}
	}
	return Type{}, false
}

// typeOf returns the type, of an archive with what is its first member.
func (s *sign) typeOf(head []byte) Type {
	t := Type{Is: s.is, Do: s.do}
	if name := firstMember(s.magic, head); name != "" {
		t.Is += " that begins with " + name
	}
	return t
}
