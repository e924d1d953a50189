package image

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

// TestRawByWord takes an image for raw memory that has another format.
func TestRawByWord(t *testing.T) {
	t.Parallel()
	name := put(t, "image", limeImage)
	f, err := Open(t.Context(), name, &Options{Format: FormatRaw})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := []vmem.Range[vmem.PhysAddr]{{Start: 0, Size: uint64(len(limeImage))}}
	if diff := cmp.Diff(want, f.Ranges()); diff != "" || f.Info.Format != "raw memory" || len(f.Info.Notes) != 1 {
		t.Errorf("%s, notes %q; ranges (-want +got):\n%s", f.Info, f.Info.Notes, diff)
	}
	if _, err := Open(t.Context(), name, &Options{Format: "vmss"}); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown format: %v, want %v", err, ErrFormat)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, put(t, "text", pageOfImage), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
