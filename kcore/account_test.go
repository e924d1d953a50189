package kcore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/vmem"
)

// account returns how many bytes of a file are neither memory that can be read, nor of a
// header or a note, nor in a gap, by what the file and its gaps say: reading the headers anew.
func account(t *testing.T, b []byte, f *File) int {
	t.Helper()
	used := make([]bool, len(b))
	mark := func(off, n uint64) {
		for i := off; i < off+n && i < uint64(len(b)) && off+n >= off; i++ {
			used[i] = true
		}
	}
	mark(0, 64)
	mark(64, uint64(len(f.Segments()))*56)
	for _, s := range f.Segments() {
		mark(s.Offset, s.FileSz)
	}
	for _, g := range f.Gaps() {
		var n uint64
		if _, err := fmt.Sscanf(g.Err.Error(), "%d bytes", &n); err == nil && errors.Is(g, ErrNoAddress) {
			mark(uint64(g.Place.Offset), n)
		}
	}
	left := 0
	for i, u := range used {
		if !u && b[i] != 0 {
			left++
		}
	}
	return left
}

// A core with one header damaged, wherever that is: no byte is dropped in silence, and what
// the other headers name is there.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	data := make([]byte, 3*vmem.PageSize)
	for i := range data {
		data[i] = byte(i%251) + 1
	}
	c := coretest.Core{Data: data, Segments: []coretest.Segment{
		coretest.Load(0x1000, coretest.DataAt, vmem.PageSize, vmem.PageSize),
		coretest.Load(0x9000, coretest.DataAt+vmem.PageSize, vmem.PageSize, vmem.PageSize),
		coretest.Load(0x20000, coretest.DataAt+2*vmem.PageSize, vmem.PageSize, vmem.PageSize),
	}}
	whole := c.Bytes()
	if f := open(t, whole); len(f.Gaps()) > 0 || account(t, whole, f) > 0 {
		t.Fatalf("a whole core: %v, %d bytes not accounted for", f.Gaps(), account(t, whole, f))
	}
	for at := 64 + 56; at < 64+2*56; at++ { // all of the second program header
		for _, value := range []byte{0, 0xff, whole[at] ^ 1, whole[at] ^ 0x80} {
			b := bytes.Clone(whole)
			b[at] = value
			f, err := NewFile(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatalf("byte %#x is %#x: %v", at, value, err)
			}
			if n := account(t, b, f); n > 0 {
				t.Errorf("byte %#x is %#x: %d bytes are not accounted for: %v", at, value, n, f.Gaps())
			}
			page := make([]byte, vmem.PageSize)
			if _, err := f.ReadAt(page, 0x1000); err != nil || !bytes.Equal(page, data[:vmem.PageSize]) {
				t.Errorf("byte %#x is %#x: the first segment: %v", at, value, err)
			}
		}
	}
	for at := 32; at < 64; at++ { // of the ELF header what says where others are
		for _, value := range []byte{0, 1, 2, 4, 0xff, whole[at] ^ 1, whole[at] ^ 0x80} {
			b := bytes.Clone(whole)
			b[at] = value
			f, err := NewFile(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Errorf("byte %#x is %#x: %v", at, value, err)
				continue
			}
			if n := account(t, b, f); n > 0 || len(f.Ranges()) != 3 {
				t.Errorf("byte %#x is %#x: %d bytes are not accounted for: %v, %v", at, value, n, f.Ranges(), f.Gaps())
			}
			null := at == 56 && value == 4 // a header of zeros is none
			if told := len(f.Gaps()) > 0; told != (value != whole[at] && !null && (at < 40 || at >= 54 && at < 58)) {
				t.Errorf("byte %#x is %#x: gaps %v", at, value, f.Gaps())
			}
		}
	}
	for cut := range len(whole) - coretest.DataAt {
		b := whole[:len(whole)-cut]
		if f := open(t, b); account(t, b, f) > 0 || cut > 0 && !errors.Is(f.Gaps()[0], io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes cut off: %v", cut, f.Gaps())
		}
	}
	more := append(bytes.Clone(whole), "more"...)
	if f := open(t, more); account(t, more, f) > 0 || len(f.Gaps()) != 1 {
		t.Errorf("bytes behind the last: %v", f.Gaps())
	}
}
