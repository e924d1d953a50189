package vmlinux

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nodelens/nodelens/symbols"
)

func TestConverter(t *testing.T) {
	for _, name := range []string{"gcc5.elf.zst", "xz.deb"} {
		f, err := os.Open(filepath.Join("..", "..", "dwarfconv", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		opts := &symbols.ConvertOptions{Name: name, TempDir: t.TempDir(), Progress: func(string, int64, int64) {}}
		file, err := Converter.Convert(t.Context(), f, info.Size(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if m := file.Metadata(); len(m.Types) != 1 || m.Types[0].Name != name {
			t.Errorf("metadata %+v", m)
		}
	}
}

func TestDetect(t *testing.T) {
	boot := make([]byte, 512)
	boot[510], boot[511] = 0x55, 0xaa
	for head, want := range map[string]bool{
		"\x7fELF\x02": true, "!<arch>\ndebian-binary": true, "\xed\xab\xee\xdb\x03": true, string(boot): true, "": false, "{": false,
	} {
		if got := Converter.Detect([]byte(head)); got != want {
			t.Errorf("%.8q: %v", head, got)
		}
	}
}
