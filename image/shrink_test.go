package image

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmem"
)

// A file that shrinks while it is open, whatever its format, costs what it lost: reading
// that is an error, and a gap, and never the end of the program.
func TestShrink(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	memory := bytes.Repeat(pageOfImage, size>>12)
	lime := encode(0x4C694D45, uint32(1), uint64(0x100000), uint64(0x100000+size-1), uint64(0), memory)
	core := encode(
		elfImage[:64], uint32(1), uint32(7), uint64(120), uint64(0), uint64(0x100000), uint64(size), uint64(size), uint64(0), memory,
	)
	for name, test := range map[string]struct {
		file   []byte
		format string
		base   int64 // physical address of the first byte
	}{
		"LiME":       {lime, "", 0x100000},
		"ELF core":   {core, "", 0x100000},
		"raw memory": {memory, FormatRaw, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := put(t, "image", test.file)
			f, err := Open(t.Context(), file, &Options{Format: test.format})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Info.Format != name {
				t.Errorf("taken for %s", f.Info)
			}
			if err := os.Truncate(file, 1<<20); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4096)
			if n, err := f.ReadAt(b, test.base+512<<10); n != len(b) || err != nil {
				t.Errorf("what is left: %d, %v", n, err)
			}
			if n, err := f.ReadAt(b, test.base+3<<20); n != 0 || !errors.Is(err, source.ErrShrunk) || !errors.Is(err, vmem.ErrNotCaptured) {
				t.Errorf("what is gone: %d, %v", n, err)
			}
			if n, err := f.ReadAt(make([]byte, size), test.base); n < 1<<20-200 || n > 1<<20 || err == nil {
				t.Errorf("all: %d, %v", n, err)
			}
			m, _ := vmem.As[vmem.Lossy](f)
			found := false
			for _, g := range m.Gaps() {
				found = found || errors.Is(g, source.ErrShrunk) && g.Reason() == "truncated"
			}
			if !found {
				t.Errorf("gaps %v", m.Gaps())
			}
		})
	}
}
