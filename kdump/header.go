package kdump

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// The main header (struct disk_dump_header of makedumpfile's diskdump_mod.h), as a
// program for x86-64 lays it out: offsets in bytes.
const (
	sigKdump    = "KDUMP   "
	sigDiskdump = "DISKDUMP"

	atVersion    = 8
	atUname      = 12  // six strings of 65 bytes
	atTime       = 408 // seconds and microseconds, 8 bytes each
	atStatus     = 424
	atBlockSize  = 428
	atSubBlocks  = 432
	atMapBlocks  = 436
	atMaxPFN     = 440
	mainSize     = 464
	unameField   = 65
	unameFields  = 6
	maxBlocks    = 1<<31 - 1 // of what the header counts in blocks: 8 TiB
	statusBroken = 0x8       // DUMP_DH_COMPRESSED_INCOMPLETE
)

// The sub header (struct kdump_sub_header), with the header version that has a field
// first.
const (
	atPhysBase   = 0
	atLevel      = 8  // version 1
	atSplit      = 12 // 2
	atStart      = 16 // 2, as atEnd
	atEnd        = 24
	atVMCoreInfo = 32 // 3: offset and size
	atNotes      = 48 // 4: offset and size
	atEraseInfo  = 64 // 5: offset and size
	atStart64    = 80 // 6, as all below
	atEnd64      = 88
	atMax64      = 96
	subSize      = 104
)

// subSizes are the sizes of the sub header by header version, the newest last.
var subSizes = [...]int{8, 16, 32, 48, 64, 80, subSize}

// blockSize is the only one there is on x86-64: makedumpfile takes the size of a page.
const blockSize = vmem.PageSize

// A Header is what the headers of an image say.
type Header struct {
	Version     int         // of the header: 0 to 6
	Uname       Uname       // of the kernel; empty where the writer did not know it
	Time        time.Time   // of the dump in UTC; zero where it is not known, as in QEMU's
	Compression Compression // that the writer was asked for; a page that does not shrink has none
	Level       Level       // what was excluded; from version 1 on
	Incomplete  bool        // whether the writer says that it had to stop, as when a disk is full
	Flattened   bool        // whether the file is in the flattened form
	PhysBase    int64       // where the kernel's image begins, less where it was linked: phys_base
	Pages       uint64      // frames of 4 KiB that the bitmaps cover, from address 0 on
	Split       bool        // whether the file is one of a split dump: it has the frames below
	Start, End  uint64      // the first frame of a split dump's file, and the first after the last

	vmcoreinfo, notes, erase place
	mapAt, mapSize           uint64 // of both bitmaps together, in bytes
}

// A place is a part of the file.
type place struct{ off, size uint64 }

// A Uname is struct utsname of a kernel (uname(2)).
type Uname struct {
	Sysname, Nodename, Release, Version, Machine, Domainname string
}

// Compression is how pages are compressed: a bit of the status in the header and of the
// flags of a page.
type Compression uint32

// The ways in which pages are compressed (DUMP_DH_COMPRESSED_ZLIB and so on of
// makedumpfile's diskdump_mod.h).
const (
	Uncompressed Compression = 0
	Zlib         Compression = 0x1
	LZO          Compression = 0x2
	Snappy       Compression = 0x4
	Zstd         Compression = 0x20
)

const compressions = Zlib | LZO | Snappy | Zstd

// String returns the name in lower case, such as zlib; of more than one bit, all names.
func (c Compression) String() string {
	var names []string
	for _, n := range []struct {
		bit  Compression
		name string
	}{{Zlib, "zlib"}, {LZO, "lzo"}, {Snappy, "snappy"}, {Zstd, "zstd"}} {
		if c&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	if len(names) == 0 {
		return "uncompressed"
	}
	return strings.Join(names, " and ")
}

// A Level says which kinds of pages makedumpfile was told to exclude: the argument of its
// -d (makedumpfile(8)). QEMU excludes no page, and says 1.
type Level uint32

// The bits of a Level. Pages of zeros are not lost: the image has one of them, to which
// all descriptors of such pages lead.
const (
	ExcludeZero    Level = 1
	ExcludeCache   Level = 2  // page cache that no process has changed privately
	ExcludePrivate Level = 4  // page cache with private flag
	ExcludeUser    Level = 8  // pages of processes
	ExcludeFree    Level = 16 // free pages
)

// String returns the number, as makedumpfile has it, and the kinds of pages.
func (l Level) String() string {
	kinds := []string{"zero", "cache", "private cache", "user", "free"}
	var names []string
	for i, kind := range kinds {
		if l>>i&1 != 0 {
			names = append(names, kind)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("%d", uint32(l))
	}
	return fmt.Sprintf("%d (%s pages)", uint32(l), strings.Join(names, ", "))
}

// IsKdump reports whether a file that begins with b is a kdump-compressed image, flattened
// or not. Sixteen bytes suffice.
func IsKdump(b []byte) bool {
	return bytes.HasPrefix(b, []byte(sigKdump)) || bytes.HasPrefix(b, []byte(sigDiskdump)) || isFlat(b)
}

// readHeader reads both headers.
func readHeader(r io.ReaderAt) (Header, error) {
	b := make([]byte, mainSize)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return Header{}, fmt.Errorf("%w: main header: %d of %d bytes: %w", ErrFormat, n, len(b), unexpected(err))
	}
	h, err := parseMain(b)
	if err != nil || string(b[:len(sigKdump)]) != sigKdump { // diskdump's own sub header is registers
		return h, err
	}
	sub := make([]byte, subSize)
	n := subSizes[min(h.Version, len(subSizes)-1)]
	if got, err := r.ReadAt(sub[:n], blockSize); got < n {
		return Header{}, fmt.Errorf("%w: sub header: %d of %d bytes: %w", ErrFormat, got, n, unexpected(err))
	}
	h.parseSub(sub)
	return h, nil
}

func parseMain(b []byte) (Header, error) {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	h := Header{Version: int(int32(u32(atVersion))), Pages: uint64(u32(atMaxPFN))}
	status := u32(atStatus)
	h.End = h.Pages
	h.Compression, h.Incomplete = Compression(status)&compressions, status&statusBroken != 0
	switch {
	case !IsKdump(b):
		return h, fmt.Errorf("%w: it begins with % x", ErrFormat, b[:8])
	case h.Version < 0 || h.Version > 1<<16:
		return h, fmt.Errorf("%w: header version %#x: not little-endian", ErrFormat, u32(atVersion))
	case u32(atBlockSize) != blockSize:
		return h, fmt.Errorf("%w: blocks of %d bytes, not %d: not a dump of x86-64", ErrFormat, u32(atBlockSize), blockSize)
	case u32(atSubBlocks) > maxBlocks || u32(atMapBlocks) > maxBlocks:
		return h, fmt.Errorf("%w: %#x blocks of sub header, %#x of bitmaps", ErrFormat, u32(atSubBlocks), u32(atMapBlocks))
	}
	h.mapAt = (1 + uint64(u32(atSubBlocks))) * blockSize
	h.mapSize = uint64(u32(atMapBlocks)) * blockSize
	if sec := binary.LittleEndian.Uint64(b[atTime:]); sec != 0 && sec < 1<<40 {
		h.Time = time.Unix(int64(sec), 1000*int64(u32(atTime+8))).UTC()
	}
	var s [unameFields]string
	for i := range s {
		s[i], _, _ = strings.Cut(string(b[atUname+i*unameField:][:unameField]), "\x00")
	}
	h.Uname = Uname{s[0], s[1], s[2], s[3], s[4], s[5]}
	return h, nil
}

// parseSub reads the sub header; what its version does not have is zero in b.
func (h *Header) parseSub(b []byte) {
	le := binary.LittleEndian
	at := func(off int) place { return place{le.Uint64(b[off:]), le.Uint64(b[off+8:])} }
	h.PhysBase = int64(le.Uint64(b[atPhysBase:]))
	h.Level = Level(le.Uint32(b[atLevel:]))
	h.Split = le.Uint32(b[atSplit:]) != 0
	h.Start, h.End = le.Uint64(b[atStart:]), le.Uint64(b[atEnd:])
	h.vmcoreinfo, h.notes, h.erase = at(atVMCoreInfo), at(atNotes), at(atEraseInfo)
	if h.Version >= 6 {
		h.Start, h.End = le.Uint64(b[atStart64:]), le.Uint64(b[atEnd64:])
		if n := le.Uint64(b[atMax64:]); n != 0 {
			h.Pages = n
		}
	}
	if !h.Split {
		h.Start, h.End = 0, h.Pages
	}
}

// Format returns a name for the format, such as "kdump, zlib, flattened".
func (h *Header) Format() string {
	s := "kdump, " + h.Compression.String()
	if h.Flattened {
		s += ", flattened"
	}
	return s
}
