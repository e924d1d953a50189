package filetype

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// maxName bounds the name of a member that is told, in bytes.
const maxName = 200

// firstMember returns the name of the first file in an archive, in quotes; empty if it is
// none, or the name is not known.
func firstMember(magic string, head []byte) string {
	var name []byte
	switch {
	case magic == "ustar":
		name, _, _ = bytes.Cut(head[:100], []byte{0})
	case magic == "PK\x03\x04" && len(head) >= 30:
		n := int(binary.LittleEndian.Uint16(head[26:]))
		name = head[30:min(30+n, len(head))]
	}
	if len(name) == 0 {
		return ""
	}
	return strconv.Quote(string(name[:min(len(name), maxName)]))
}

// elf tells ELF files from one another.
func elf(head []byte) (Type, bool) {
	if len(head) < 20 || string(head[:4]) != "\x7fELF" {
		return Type{}, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	kind, machine := order.Uint16(head[16:]), order.Uint16(head[18:])
	switch kind {
	case 1:
		return Type{"an ELF object, such as a kernel module", "it may hold symbols, and no memory"}, true
	case 2, 3:
		return Type{"an ELF program, such as a vmlinux", "it may hold symbols, and no memory"}, true
	case 4:
		return core(head, order, machine), true
	}
	return Type{Is: fmt.Sprintf("an ELF file of the unknown type %d", kind)}, true
}

// machines are some that x86-64 is not (elf(5)).
var machines = map[uint16]string{3: "an x86 machine of 32 bits", 8: "a MIPS machine", 21: "a PowerPC machine", 22: "an IBM Z machine", 40: "an ARM machine of 32 bits", 183: "an arm64 machine", 243: "a RISC-V machine", 258: "a LoongArch machine"}

// core tells what an ELF core is of.
func core(head []byte, order binary.ByteOrder, machine uint16) Type {
	name, known := machines[machine]
	switch {
	case !known && machine != 62:
		name = fmt.Sprintf("a machine of ELF's number %d", machine)
	case machine == 62 && (head[4] != 2 || order == binary.BigEndian):
		name = "a machine of 32 bits"
	case machine == 62:
		return Type{"an ELF core that is not of a machine's physical memory", "the core of a single process is none"}
	}
	return Type{Is: "an ELF core of " + name + ", which is not supported"}
}

// program knows the programs of Windows and EFI.
func program(head []byte) (Type, bool) {
	if len(head) < 0x40 || string(head[:2]) != "MZ" {
		return Type{}, false
	}
	at := int64(binary.LittleEndian.Uint32(head[0x3c:]))
	if at+4 > int64(len(head)) || string(head[at:at+4]) != "PE\x00\x00" {
		return Type{}, false
	}
	return Type{Is: "a program of Windows or EFI"}, true
}

// extFS knows ext2, ext3 and ext4 by their superblock (fs/ext4/ext4.h): the magic number
// alone has but two bytes.
func extFS(head []byte) (Type, bool) {
	if len(head) < 1024+264 {
		return Type{}, false
	}
	s, le := head[1024:], binary.LittleEndian
	inodes, blocks, blockSize, revision := le.Uint32(s), le.Uint32(s[4:]), le.Uint32(s[24:]), le.Uint32(s[76:])
	if le.Uint16(s[56:]) != 0xef53 || inodes == 0 || blocks == 0 || blockSize > 6 || revision > 1 {
		return Type{}, false
	}
	return Type{"an ext4 file system", convert}, true
}

// bootSector knows a disk by its partition table of the old kind.
func bootSector(head []byte) (Type, bool) {
	if len(head) < 512 || head[510] != 0x55 || head[511] != 0xaa {
		return Type{}, false
	}
	used := 0
	for i := 446; i < 510; i += 16 {
		p := head[i : i+16]
		start, size := binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint32(p[12:])
		switch {
		case p[0]&0x7f != 0:
			return Type{}, false
		case p[4] != 0 && start != 0 && size != 0:
			used++
		case p[4] != 0 || start != 0 || size != 0:
			return Type{}, false
		}
	}
	return Type{"a disk with partitions (MBR)", convert}, used > 0
}
