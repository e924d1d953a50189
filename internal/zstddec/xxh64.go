package zstddec

import (
	"encoding/binary"
	"math/bits"
)

// The primes of XXH64, from the xxHash fast digest algorithm specification.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// A digest computes the XXH64 with seed 0 of what is added to it.
type digest struct {
	lanes [4]uint64
	buf   [32]byte // the first size%32 bytes wait for a whole stripe
	size  uint64
}

func newDigest() digest {
	// prime1+prime2 and -prime1 wrap, which constants can't.
	p1, p2 := prime1, prime2
	return digest{lanes: [4]uint64{p1 + p2, p2, 0, -p1}}
}

// add adds p to what the digest is of.
func (d *digest) add(p []byte) {
	used := int(d.size % 32)
	d.size += uint64(len(p))
	if used > 0 {
		m := copy(d.buf[used:], p)
		p = p[m:]
		if used+m < 32 {
			return
		}
		d.stripes(d.buf[:])
	}
	whole := len(p) &^ 31
	d.stripes(p[:whole])
	copy(d.buf[:], p[whole:])
}

// stripes mixes in whole stripes of 32 bytes.
func (d *digest) stripes(p []byte) {
	l0, l1, l2, l3 := d.lanes[0], d.lanes[1], d.lanes[2], d.lanes[3]
	for ; len(p) >= 32; p = p[32:] {
		l0 = mix(l0, binary.LittleEndian.Uint64(p))
		l1 = mix(l1, binary.LittleEndian.Uint64(p[8:]))
		l2 = mix(l2, binary.LittleEndian.Uint64(p[16:]))
		l3 = mix(l3, binary.LittleEndian.Uint64(p[24:]))
	}
	d.lanes = [4]uint64{l0, l1, l2, l3}
}

func mix(lane, word uint64) uint64 {
	return bits.RotateLeft64(lane+word*prime2, 31) * prime1
}

// sum returns the digest of what was added so far.
func (d *digest) sum() uint64 {
	h := prime5
	if d.size >= 32 {
		l := d.lanes
		h = bits.RotateLeft64(l[0], 1) + bits.RotateLeft64(l[1], 7) +
			bits.RotateLeft64(l[2], 12) + bits.RotateLeft64(l[3], 18)
		for _, lane := range l {
			h = (h^mix(0, lane))*prime1 + prime4
		}
	}
	h += d.size
	rest := d.buf[:d.size%32]
	for ; len(rest) >= 8; rest = rest[8:] {
		h = bits.RotateLeft64(h^mix(0, binary.LittleEndian.Uint64(rest)), 27)*prime1 + prime4
	}
	if len(rest) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(rest))*prime1, 23)*prime2 + prime3
		rest = rest[4:]
	}
	for _, b := range rest {
		h = bits.RotateLeft64(h^uint64(b)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
