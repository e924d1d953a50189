package lime

import (
	"bytes"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

// opened opens a file, reads its first bytes and tells its gaps.
func opened(t *testing.T, file []byte) *File {
	t.Helper()
	f, err := NewFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Ranges()[:min(len(f.Ranges()), 10)] {
		_, _ = f.ReadAt(make([]byte, vmem.PageSize), int64(r.Start))
	}
	_ = f.Gaps()
	return f
}

// Hundreds of thousands of records of a byte each, all of the same byte or each of another, and records that
// claim all of memory.
func TestHostileRecords(t *testing.T) {
	n := uint64(testimages.Trials(100_000, 25_000))
	for name, c := range map[string]struct {
		record func(i uint64) []byte
		told   bool
	}{
		"one byte each":        {func(i uint64) []byte { return append(head(mem(2*i, 1)), 'x') }, false},
		"the same byte":        {func(uint64) []byte { return append(head(mem(0x1000, 1)), 'x') }, true},
		"all of memory":        {func(uint64) []byte { return append(head(mem(0, 1<<52-1)), 'x') }, true},
		"AVML, one byte each":  {func(i uint64) []byte { return append(avmlHead(mem(2*i, 1)), 'x') }, false},
		"AVML, all of memory":  {func(uint64) []byte { return avmlHead(mem(0, 1<<52-1)) }, true},
		"AVML, streams of one": {func(i uint64) []byte { return append(avmlHead(mem(i<<24, 16<<20)), streamID...) }, true},
		"AVML, empty chunks": {func(i uint64) []byte {
			return append(append(avmlHead(mem(i<<24, 16<<20)), streamID...), bytes.Repeat([]byte{0xfe, 0, 0, 0}, 8)...)
		}, true},
	} {
		var file []byte
		for i := range n {
			file = append(file, c.record(i)...)
		}
		var f *File
		alloctest.AtMost(t, n*(3<<10), name, func() { f = opened(t, file) })
		if told := len(f.Gaps()) > 0; told != c.told || len(f.Gaps()) > 100_000 {
			t.Errorf("%s: %d gaps, %d ranges", name, len(f.Gaps()), len(f.Ranges()))
		}
	}
}

// Whichever byte of a header, of the header of a chunk or of a trailer is damaged: each page is as
// it was, or where it is not that is told.
func TestEveryByteAVML(t *testing.T) {
	file := fixture(t, "v0.20.0.avml")
	var places []int
	for _, block := range []int{0, block2, block3} {
		for i := range headerSize + len(streamID) + 4 {
			places = append(places, block+i)
		}
		if block > 0 {
			for i := range trailerSize {
				places = append(places, block-1-i)
			}
		}
	}
	all := []physRange{pattern1, random, pattern2}
	for i, at := range places {
		if i%testimages.Trials(1, 9) > 0 {
			continue
		}
		for _, value := range []byte{0, 0xff, file[at] ^ 1, file[at] ^ 0x80} {
			b := bytes.Clone(file)
			if b[at] = value; value == file[at] {
				continue
			}
			f, err := NewFile(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				if at >= headerSize {
					t.Errorf("byte %#x is %#x: %v", at, value, err)
				}
				continue
			}
			lost, where := 0, []physRange{}
			for _, r := range all {
				got := make([]byte, r.Size)
				n, _ := f.ReadAt(got, int64(r.Start))
				if n < len(got) || !bytes.Equal(got, machine(r)) {
					lost++
					where = append(where, r)
				}
			}
			if lost > 0 && len(f.Gaps()) == 0 || lost > 1 {
				t.Errorf("byte %#x is %#x: %d of the blocks are not as they were: %v, %v", at, value, lost, where, f.Gaps())
			}
		}
	}
}
