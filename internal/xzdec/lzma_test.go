package xzdec

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/packtest"
)

func TestRepeat(t *testing.T) {
	t.Parallel()
	random := packtest.Noise(70000)
	for distance := 1; distance <= 40; distance++ {
		for length := 1; length <= 273; length++ {
			got := append(bytes.Clone(random[:distance]), make([]byte, length)...)
			want := bytes.Clone(got)
			for i := range length {
				want[distance+i] = want[i]
			}
			if repeat(got, distance, distance, length); !bytes.Equal(got, want) {
				t.Fatalf("distance %d, length %d: % x, want % x", distance, length, got, want)
			}
		}
	}
}

// TestDistance has matches that begin before the content, before the dictionary, and
// before what is kept of a larger one.
func TestDistance(t *testing.T) {
	t.Parallel()
	small := window{end: 100, size: 64, whole: 100}
	large := window{end: maxDict + 100, size: maxDict, whole: maxDict + 200}
	for _, c := range []struct {
		w      *window
		back   uint32
		length int
		want   error
	}{
		{&window{size: 64}, 0, 1, errDistance},
		{&window{start: 10, end: 20, size: 64, whole: 10}, 9, 1, nil},
		{&window{start: 10, end: 20, size: 64, whole: 10}, 10, 1, errDistance},
		{&small, 63, 2, nil},
		{&small, 64, 2, errDistance},
		{&small, 1<<32 - 1, 2, errDistance},
		{&small, 0, 100, nil},
		{&small, 0, 101, errLength},
		{&large, maxDict - 1, 2, nil},
		{&large, maxDict, 2, errFar},
		{&large, maxDict + 199, 2, errFar},
		{&large, maxDict + 200, 2, errDistance},
	} {
		if err := c.w.canRepeat(c.back, c.length, c.w.end, c.w.end+100); !errors.Is(err, c.want) {
			t.Errorf("%d bytes from %d before %d: %v, want %v", c.length, c.back, c.w.end, err, c.want)
		}
	}
}
