package lime

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	var got bytes.Buffer
	w := NewWriter(&got)
	ranges := []physRange{mem(0x1000, 0x9ec00), mem(0x100000, 1), mem(1<<52-0x10, 0x10)}
	var want []byte
	for _, r := range ranges {
		if err := w.WriteRange(r, io.MultiReader(bytes.NewReader(contents(r)), strings.NewReader("more"))); err != nil {
			t.Fatal(err)
		}
		want = append(want, record(r)...)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the image is not what the format says")
	}
	checkMemory(t, open(t, got.Bytes()), ranges)

	for _, r := range []physRange{{}, mem(1<<52-0x10, 0x11), mem(1<<52, 1), mem(0, ^uint64(0))} {
		if err := w.WriteRange(r, strings.NewReader("x")); err == nil {
			t.Errorf("range %v was accepted", r)
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("a refused range left something in the image")
	}
}

func TestWriterErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	var got bytes.Buffer
	short := NewWriter(&got)
	if err := short.WriteRange(mem(0x1000, 5), strings.NewReader("1234")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("source that ends early: %v", err)
	}
	if err := short.WriteRange(mem(0x2000, 1), strings.NewReader("1")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after that: %v", err)
	}
	checkGaps(t, open(t, got.Bytes()), []lost{{36, mem(0x1004, 1), ErrTruncated}})

	for room := range 40 {
		w := NewWriter(&limited{room, broken})
		if err := w.WriteRange(mem(0x1000, 8), strings.NewReader("12345678")); !errors.Is(err, broken) {
			t.Errorf("room for %d bytes: %v, want %v", room, err, broken)
		}
	}
}

// limited takes that many bytes, then fails.
type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.room -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}
