package source

import (
	"testing"

	"golang.org/x/exp/mmap"
)

// BenchmarkReadAt reads a frame of a plain file, beside what reading its mapping costs.
func BenchmarkReadAt(b *testing.B) {
	name := put(b, noise(1<<20))
	m, err := mmap.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	s, err := Open(b.Context(), name, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for kind, r := range map[string]interface {
		ReadAt(p []byte, off int64) (int, error)
	}{"mapping": m, "source": s} {
		for size, p := range map[string][]byte{"24": make([]byte, 24), "4096": make([]byte, 4096)} {
			b.Run(kind+"/"+size, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(p)))
				off := int64(0)
				for b.Loop() {
					if _, err := r.ReadAt(p, off); err != nil {
						b.Fatal(err)
					}
					off = (off + 4096) & (1<<20 - 1)
				}
			})
		}
	}
}
