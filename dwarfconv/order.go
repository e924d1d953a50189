package dwarfconv

import (
	"encoding/binary"
	"math/bits"
)

// A byteOrder is that of the file: true means big-endian.
type byteOrder bool

func (o byteOrder) u16(b []byte, pos int) uint64 {
	v := binary.LittleEndian.Uint16(b[pos:])
	if o {
		v = bits.ReverseBytes16(v)
	}
	return uint64(v)
}

func (o byteOrder) u24(b []byte, pos int) uint64 {
	if o {
		return uint64(b[pos])<<16 | uint64(b[pos+1])<<8 | uint64(b[pos+2])
	}
	return uint64(b[pos]) | uint64(b[pos+1])<<8 | uint64(b[pos+2])<<16
}

func (o byteOrder) u32(b []byte, pos int) uint64 {
	v := binary.LittleEndian.Uint32(b[pos:])
	if o {
		v = bits.ReverseBytes32(v)
	}
	return uint64(v)
}

func (o byteOrder) u64(b []byte, pos int) uint64 {
	v := binary.LittleEndian.Uint64(b[pos:])
	if o {
		v = bits.ReverseBytes64(v)
	}
	return v
}

// put writes the low size bytes of v: 4 or 8.
func (o byteOrder) put(b []byte, size int, v uint64) {
	var bo binary.ByteOrder = binary.LittleEndian
	if o {
		bo = binary.BigEndian
	}
	if size == 8 {
		bo.PutUint64(b, v)
	} else {
		bo.PutUint32(b, uint32(v))
	}
}
