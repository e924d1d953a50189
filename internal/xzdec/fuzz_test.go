package xzdec

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// most is how much content a fuzzed file may have.
const most = 1 << 20

// FuzzDecoder checks that any file is decoded without a fault, that decoding gives the
// same when it is taken up at any checkpoint, that the index agrees with the content,
// and that what ulikunitz/xz accepts has the content that it finds.
func FuzzDecoder(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		fix(file)
		d := open(t, file, nil)
		var states []*checkpoint.State
		var offsets []int
		var want []byte
		var doubts int
		var end error
		for end == nil && len(want) <= most {
			p, err := d.Next()
			want = append(want, p...)
			if _, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
				doubts++
				continue
			}
			if end = err; err == nil && len(states) < 20 {
				states, offsets = append(states, d.State()), append(offsets, len(want))
			}
		}
		if _, ok := errors.AsType[*checkpoint.FormatError](end); end != nil && !errors.Is(end, io.EOF) && !ok {
			t.Fatal(end)
		}
		for i, s := range states {
			if s != nil {
				compare(t, open(t, file, s), want[offsets[i]:], end)
			}
		}
		if errors.Is(end, io.EOF) && doubts == 0 {
			comparePlaces(t, file, want)
			compareForeign(t, file, want)
		}
	})
}

// fix gives a file with a magic number the CRCs that its headers should have, where
// they are where small files have them.
func fix(file []byte) {
	if len(file) < 2*headerSize || !Detect(file) {
		return
	}
	putCRC(file[8:], file[6:8])
	if n := (int(file[12]) + 1) * 4; n <= len(file)-headerSize {
		putCRC(file[headerSize+n-4:], file[headerSize:headerSize+n-4])
	}
}

// compare checks that d gives want, and then end.
func compare(t *testing.T, d checkpoint.Decoder, want []byte, end error) {
	t.Helper()
	for {
		p, err := d.Next()
		if _, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			continue
		}
		if !bytes.HasPrefix(want, p) {
			t.Fatal("other content than without a checkpoint")
		}
		want = want[len(p):]
		if end == nil && len(want) == 0 {
			return // more than was looked at
		}
		if err != nil {
			if len(want) > 0 || err.Error() != end.Error() {
				t.Fatalf("%v, want %v after %d bytes", err, end, len(want))
			}
			return
		}
	}
}

// comparePlaces checks that the index, if any, fits a file that is right.
func comparePlaces(t *testing.T, file, want []byte) {
	x, _ := open(t, file, nil).(checkpoint.Indexed)
	places, size, ok := x.Index()
	if !ok {
		t.Fatal("a file that is right has no index")
	}
	if size != int64(len(want)) {
		t.Fatalf("the index says %d bytes, there are %d", size, len(want))
	}
	for _, p := range places {
		compare(t, open(t, file, &p.State), want[p.Offset:], io.EOF)
	}
}

func compareForeign(t *testing.T, file, want []byte) {
	if bytes.Contains(file, []byte{filterLZMA2, 1, 40}) {
		return // it would allocate the dictionary
	}
	r, err := xz.NewReader(bytes.NewReader(file))
	if err != nil {
		return
	}
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, want) {
		t.Errorf("%d bytes, ulikunitz/xz has %d", len(want), len(got))
	}
}
