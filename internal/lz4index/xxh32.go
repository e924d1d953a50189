package lz4index

import (
	"encoding/binary"
	"math/bits"
)

// The primes of XXH32, from the xxHash fast digest algorithm specification.
const (
	prime1 uint32 = 0x9E3779B1
	prime2 uint32 = 0x85EBCA77
	prime3 uint32 = 0xC2B2AE3D
	prime4 uint32 = 0x27D4EB2F
	prime5 uint32 = 0x165667B1
)

// xxh32 returns the XXH32 of p with seed 0.
func xxh32(p []byte) uint32 {
	d := newDigest()
	d.add(p)
	return d.sum()
}

// XXH32 returns the XXH32 of p with seed 0: the checksum of blocks and frames.
func XXH32(p []byte) uint32 { return xxh32(p) }

// A Digest computes the XXH32 with seed 0 of what is added to it, for who writes frames.
type Digest struct{ d *digest }

// NewDigest returns the Digest of nothing.
func NewDigest() Digest { return Digest{newDigest()} }

// Add adds p to what the digest is of.
func (d Digest) Add(p []byte) { d.d.add(p) }

// Sum returns the digest of what was added so far.
func (d Digest) Sum() uint32 { return d.d.sum() }

// A digest computes the XXH32 with seed 0 of what is added to it.
type digest struct {
	lanes [4]uint32
	buf   [16]byte // the first length%16 bytes wait for a whole stripe
	size  uint64
}

func newDigest() *digest {
	// prime1+prime2 and -prime1 wrap, which constants can't.
	p1, p2 := prime1, prime2
	return &digest{lanes: [4]uint32{p1 + p2, p2, 0, -p1}}
}

// add adds p to what the digest is of.
func (d *digest) add(p []byte) {
	used := int(d.size % 16)
	d.size += uint64(len(p))
	if used > 0 {
		m := copy(d.buf[used:], p)
		p = p[m:]
		if used+m < 16 {
			return
		}
		d.stripes(d.buf[:])
	}
	whole := len(p) &^ 15
	d.stripes(p[:whole])
	copy(d.buf[:], p[whole:])
}

// stripes mixes in whole stripes of 16 bytes.
func (d *digest) stripes(p []byte) {
	l := d.lanes
	for ; len(p) >= 16; p = p[16:] {
		l[0] = mix(l[0], binary.LittleEndian.Uint32(p))
		l[1] = mix(l[1], binary.LittleEndian.Uint32(p[4:]))
		l[2] = mix(l[2], binary.LittleEndian.Uint32(p[8:]))
		l[3] = mix(l[3], binary.LittleEndian.Uint32(p[12:]))
	}
	d.lanes = l
}

func mix(lane, word uint32) uint32 {
	return bits.RotateLeft32(lane+word*prime2, 13) * prime1
}

// sum returns the digest of what was added so far.
func (d *digest) sum() uint32 {
	h := prime5
	if d.size >= 16 {
		l := d.lanes
		h = bits.RotateLeft32(l[0], 1) + bits.RotateLeft32(l[1], 7) +
			bits.RotateLeft32(l[2], 12) + bits.RotateLeft32(l[3], 18)
	}
	h += uint32(d.size)
	rest := d.buf[:d.size%16]
	for ; len(rest) >= 4; rest = rest[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(rest)*prime3, 17) * prime4
	}
	for _, b := range rest {
		h = bits.RotateLeft32(h+uint32(b)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}
