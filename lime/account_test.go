package lime

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/source"
)

// unaccounted goes over a file that is not compressed, and returns the first offset that is
// neither of a record nor where a gap begins. The gap is then up to the next record.
func unaccounted(t *testing.T, file []byte) (int64, bool) {
	t.Helper()
	s, err := source.New(context.Background(), bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := newParser(s)
	if err := p.parse(); err != nil {
		return 0, false // refused as a whole
	}
	var gaps []int64
	for _, g := range p.gaps.Gaps() {
		gaps = append(gaps, g.Place.Offset)
	}
	at := int64(0)
	for _, r := range p.records {
		if begin := r.Offset - headerSize; begin > at && !slices.ContainsFunc(gaps, func(g int64) bool { return at <= g && g < begin }) || begin < at {
			return at, true
		}
		at = r.Offset + int64(r.Range.Size)
	}
	return at, at != int64(len(file)) && !slices.ContainsFunc(gaps, func(g int64) bool { return at <= g })
}

// Each byte of a file is of a record or in a gap, whichever byte of a header is damaged, and
// where the file is cut off or goes on; and records behind the damage are there.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	a, b, c := mem(0x1000, 0x1000), mem(0x100000, 0x2000), mem(0x200000, 0x1000)
	whole := image(record(a), record(b), record(c))
	second, third := 32+0x1000, 2*32+0x3000
	for _, header := range []int{second, third} {
		for at := header; at < header+32; at++ {
			for _, value := range []byte{0, 0xff, whole[at] ^ 1, whole[at] ^ 0x10, whole[at] ^ 0x80} {
				file := bytes.Clone(whole)
				file[at] = value
				if off, lost := unaccounted(t, file); lost {
					t.Errorf("byte %#x is %#x: nothing tells of what is at %#x", at, value, off)
				}
				f := open(t, file)
				got := make([]byte, c.Size)
				n, err := f.ReadAt(got, int64(c.Start))
				if header == second && (err != nil || !bytes.Equal(got[:n], contents(c))) {
					t.Errorf("byte %#x is %#x: the record behind it: %v, ranges %v, gaps %v", at, value, err, f.Ranges(), f.Gaps())
				}
			}
		}
	}
	for cut := 1; cut < len(whole)-32; cut += 7 {
		if off, lost := unaccounted(t, whole[:len(whole)-cut]); lost {
			t.Errorf("%d bytes cut off: nothing tells of what is at %#x", cut, off)
		}
	}
	for _, more := range []string{"x", "more than this", string(make([]byte, 5000))} {
		if off, lost := unaccounted(t, append(bytes.Clone(whole), more...)); lost {
			t.Errorf("%d bytes more: nothing tells of what is at %#x", len(more), off)
		}
	}
}
