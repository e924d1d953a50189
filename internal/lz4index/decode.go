package lz4index

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/pierrec/lz4/v4"
)

// window is how far back a match of a linked block reaches at most.
const window = 64 << 10

// sumMatches reads b and the checksum that follows it, and compares them.
func (s *scanner) sumMatches(r io.ReaderAt, b *block) (bool, error) {
	src, err := s.read(r, b)
	if err != nil {
		return false, err
	}
	want := make([]byte, 4)
	if n, err := r.ReadAt(want, b.src+int64(b.srcSize)); n < len(want) {
		return false, &FormatError{b.src + int64(b.srcSize), err}
	}
	return xxh32(src) == binary.LittleEndian.Uint32(want), nil
}

// decode decodes block i into the end of buf, which is as long as what comes
// before (at most window bytes, already there) and the block together.
// An error that is a *Damage is lasting.
func (x *index) decode(s *scanner, i int, buf []byte) error {
	b := &x.blocks[i]
	if err := x.load(s, b); err != nil {
		return err
	}
	before := len(buf) - int(b.size)
	src, dst := s.buf[:b.srcSize], buf[before:]
	if b.is(stored) {
		copy(dst, src)
		return nil
	}
	if b.is(endless) {
		src = append(src, 0) // literals of length 0 make it a whole block
	}
	n, err := lz4.UncompressBlockWithDict(src, dst, buf[:before])
	if err != nil || n != len(dst) {
		return b.damage(errMalformed)
	}
	return nil
}

// load reads the data of b into s.buf and verifies their checksum, if any.
func (x *index) load(s *scanner, b *block) error {
	if !x.frames[b.frame].blockSums || b.is(cut) {
		_, err := s.read(x.r, b)
		return err
	}
	ok, err := s.sumMatches(x.r, b)
	if err == nil && !ok {
		return b.damage(errChecksum)
	}
	return err
}

// reason says why a block that is known to be damaged is.
func (b *block) reason() error {
	if b.is(orphan) {
		return errDependent
	}
	return errMalformed
}

func (b *block) damage(err error) *Damage {
	return &Damage{Offset: b.src, Start: b.dst, Size: int64(b.size), Err: err}
}

// contentMatches decodes the whole of frame f, block by block, and compares it
// with its checksum.
func (x *index) contentMatches(f *frame) (bool, error) {
	var s scanner
	sum := newDigest()
	longest := uint32(0)
	for _, b := range x.blocks[f.first:f.end] {
		longest = max(longest, b.size)
	}
	buf := make([]byte, 0, window+int(longest))
	for i := f.first; i < f.end; i++ {
		before := len(buf)
		buf = buf[:before+int(x.blocks[i].size)]
		err := x.decode(&s, i, buf)
		if _, ok := errors.AsType[*Damage](err); ok {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		sum.add(buf[before:])
		buf = append(buf[:0], buf[max(0, len(buf)-window):]...)
	}
	return sum.sum() == f.sum, nil
}
