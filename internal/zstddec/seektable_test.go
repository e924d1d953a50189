package zstddec

import (
	"errors"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

const seekable = "mixed-seekable.zst"

func index(t *testing.T, file []byte) ([]checkpoint.Place, int64, bool) {
	t.Helper()
	return open(t, file, nil).(checkpoint.Indexed).Index()
}

func TestIndex(t *testing.T) {
	t.Parallel()
	file, want := fixture(t, seekable), mixed()
	places, size, ok := index(t, file)
	if !ok || size != int64(len(want)) || len(places) != (len(want)+99_999)/100_000 {
		t.Fatalf("%d places, size %d, %v", len(places), size, ok)
	}
	for i, p := range places {
		if p.Offset != int64(i)*100_000 || len(p.State.Window) != 0 {
			t.Errorf("place %d: offset %d, window of %d", i, p.Offset, len(p.State.Window))
		}
		checkResumed(t, file, want, stop{int(p.Offset), &p.State})
	}
}

func TestNoIndex(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures(t) {
		if _, _, ok := index(t, fixture(t, name)); ok != (name == seekable) {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

// TestWrongIndex damages the seek table: it is not accepted, or, where the size of a
// frame's content is damaged, which the frame does not say, that frame ends in an error.
func TestWrongIndex(t *testing.T) {
	t.Parallel()
	good := fixture(t, seekable)
	places, _, _ := index(t, good)
	start := len(good) - 17 - 8*len(places)
	for at := start; at < len(good); at++ {
		file := slices.Clone(good)
		file[at] ^= 1
		damaged, _, ok := index(t, file)
		frame, field := (at-start-8)/8, (at-start)%8
		switch {
		case !ok || at == len(good)-5: // unused bit of the descriptor
		case at < start+8 || at >= len(good)-9 || field < 4:
			t.Errorf("byte %d changed: accepted", at-start)
		default:
			_, _, err := drain(t, open(t, file, &damaged[frame].State))
			if _, wrong := errors.AsType[*checkpoint.FormatError](err); !wrong {
				t.Errorf("byte %d changed: %v", at-start, err)
			}
		}
	}
}
