package lime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

const (
	magic       = "EMiL"
	version     = 1
	avmlMagic   = "AVML"
	avmlVersion = 2
	headerSize  = 32
)

// The reasons for which an image can't be opened or has gaps.
var (
	// ErrFormat: the file is neither a LiME nor an AVML image.
	ErrFormat = errors.New("not a LiME or AVML image")
	// ErrTruncated: the file ends inside a record.
	ErrTruncated = vmem.NewReason("truncated", "the file ends inside the record")
	// ErrShort: a record is shorter than its header says; the next one follows.
	ErrShort = vmem.NewReason("short", "the record ends early, another follows")
	// ErrAmbiguous: there may be the header of a record, or the copy of one in the
	// memory that the record before it holds.
	ErrAmbiguous = vmem.NewReason("ambiguous", "a record header, or a copy of one in memory, whose record does not fit")
	// ErrDamaged: the compressed content of a record makes no sense, or does not match
	// its checksum.
	ErrDamaged = vmem.NewReason("damaged", "damaged block")
	// ErrOverlap: a record has memory that one before it has.
	ErrOverlap = vmem.NewReason("overlap", "a record before has the same memory")
	// ErrNoHeader: a record ends, and what follows is no record.
	ErrNoHeader = vmem.NewReason("no-header", "no record header")
	// ErrTooMany: there are more records than any machine has ranges of memory.
	ErrTooMany = vmem.NewReason("too-many", "too many records")
)

// A header is the head of a record.
type header struct {
	memory   vmem.Range[vmem.PhysAddr]
	reserved uint64
	avml     bool // of AVML's version 2
}

// parseHeader reads a header from the first headerSize bytes of b. It refuses what
// can't be one, whatever surrounds it; errors wrap ErrNoHeader.
func parseHeader(b []byte) (header, error) {
	le := binary.LittleEndian
	first, last := le.Uint64(b[8:]), le.Uint64(b[16:])
	avml := IsAVML(b)
	switch v := le.Uint32(b[4:]); {
	case !avml && !IsLiME(b):
		return header{}, fmt.Errorf("%w: magic number % x", ErrNoHeader, b[:4])
	case avml && v != avmlVersion, !avml && v != version:
		return header{}, fmt.Errorf("%w: version %d", ErrNoHeader, v)
	case first > last || last >= extent.Limit:
		return header{}, fmt.Errorf("%w: memory from %#x to %#x", ErrNoHeader, first, last)
	}
	return header{
		memory:   vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(first), Size: last - first + 1},
		reserved: le.Uint64(b[24:]),
		avml:     avml,
	}, nil
}

// encode returns the header as it is in a file.
func (h header) encode() []byte {
	le := binary.LittleEndian
	name, number := magic, uint32(version)
	if h.avml {
		name, number = avmlMagic, avmlVersion
	}
	b := append(make([]byte, 0, headerSize), name...)
	b = le.AppendUint32(b, number)
	b = le.AppendUint64(b, uint64(h.memory.Start))
	b = le.AppendUint64(b, uint64(h.memory.Last()))
	return le.AppendUint64(b, h.reserved)
}

// plausibleAfter reports whether h may be the header of a record that comes some way
// after one of the given memory.
func (h header) plausibleAfter(memory vmem.Range[vmem.PhysAddr]) bool {
	return h.reserved == 0 && h.memory.Start > memory.Last()
}

// IsLiME reports whether a file that begins with b is a LiME image. Four bytes suffice.
func IsLiME(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }

// IsAVML reports whether a file that begins with b is a compressed AVML image. Four bytes
// suffice.
func IsAVML(b []byte) bool { return bytes.HasPrefix(b, []byte(avmlMagic)) }
