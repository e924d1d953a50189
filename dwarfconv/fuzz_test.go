package dwarfconv

import (
	"bytes"
	"testing"
)

// FuzzConvert changes whole small kernels and modules: their ELF headers, abbreviations,
// forms and references.
func FuzzConvert(f *testing.F) {
	for _, s := range samples {
		f.Add(unpacked(f, s.name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Convert(t.Context(), bytes.NewReader(b), int64(len(b)), &Options{Workers: 1, TempDir: t.TempDir(), Warn: func(error) {}})
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
		if err != nil {
			return
		}
		for u := range file.UserTypes() {
			for _, m := range u.Fields {
				_, _ = file.SizeOf(m.Type)
				_ = m.Type.String()
			}
		}
	})
}
