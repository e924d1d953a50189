package kdump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// Each header of a piece that is damaged costs its piece, and what follows is there; the gaps
// and the pieces are all of the file.
func TestFlatDamagedHeader(t *testing.T) {
	t.Parallel()
	whole := fixture(t, "qemu-flat.kdump")
	var headers []int
	for at := flatHeader; binary.BigEndian.Uint64(whole[at:]) != ^uint64(0); at += pieceHeader + int(binary.BigEndian.Uint64(whole[at+8:])) {
		headers = append(headers, at)
	}
	if len(headers) < 8 {
		t.Fatalf("%d pieces", len(headers))
	}
	total := func(f *flat) (n int64) {
		n = flatHeader + pieceHeader
		g := f.pieceBytes()
		for _, h := range f.holes {
			n += h.size
		}
		return n + g
	}
	for i, at := range headers[1 : len(headers)-1] {
		if i%3 != 0 && i > 8 {
			continue
		}
		for _, damage := range []struct {
			at    int
			value uint64
		}{{0, 0xdead0000dead0000}, {8, 0xffff00000000ffff}, {8, 1 << 40}, {8, 100}} {
			b := bytes.Clone(whole)
			binary.BigEndian.PutUint64(b[at+damage.at:], damage.value)
			f, err := newFlat(bytes.NewReader(b), int64(len(b)))
			if err != nil || f.err != nil || len(f.holes) == 0 || !errors.Is(f.holes[0].err, ErrDamaged) {
				t.Fatalf("piece %d, %+v: %v, %v, holes %v", i, damage, err, f.err, f.holes)
			}
			if n := total(f); n != int64(len(b)) {
				t.Errorf("piece %d, %+v: %d of %d bytes", i, damage, n, len(b))
			}
			if h := f.holes[0]; h.at != int64(at) && h.at != int64(at)+pieceHeader+int64(damage.value) || h.end() > int64(headers[i+2]) {
				t.Errorf("piece %d at %#x, %+v: hole %#x up to %#x, the next is at %#x", i, at, damage, h.at, h.end(), headers[i+2])
			}
		}
	}
}

// pieceBytes returns how much of the file pieces are, with their headers, from the first on
// and behind each hole.
func (f *flat) pieceBytes() (n int64) {
	head := new([pieceHeader]byte)
	holes := f.holes
	for at := int64(flatHeader); ; {
		if len(holes) > 0 && at == holes[0].at {
			at, holes = holes[0].end(), holes[1:]
			continue
		}
		p, err := f.piece(at, head)
		if err != nil {
			return n
		}
		n += pieceHeader + p.have
		at += pieceHeader + p.size
	}
}
