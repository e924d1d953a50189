package testimages

import (
	"path/filepath"
	"strings"
	"testing"
)

// SymbolFiles returns the ISF files there are, of as many kernels as possible: that of the
// bundled image, and unless tests are to be short those in the directory that
// NODELENS_GOLDEN names, by the kernel's release, such as 6.1.0-56, uncompressed. Files of types
// alone are among them.
func SymbolFiles(t testing.TB) map[string]string {
	t.Helper()
	bundled, err := Bundled()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"6.1.0-56": bundled.ISF}
	dir, err := locate("NODELENS_GOLDEN")
	if err != nil || testing.Short() {
		return files
	}
	for _, pattern := range []string{"*.isf.json", "*.isf.json.xz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name := filepath.Base(path)
			for _, end := range []string{".xz", ".isf.json", ".dwarf2json"} {
				name = strings.TrimSuffix(name, end)
			}
			if files[name] != "" {
				continue
			}
			if files[name], err = unpackedISF(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

// EachSymbols runs a test of an image twice: as image, with the symbols that it has itself,
// where isf is empty, and as isf, with those of its symbol file. The second is skipped where
// there is no such file.
func (img Image) EachSymbols(t *testing.T, test func(t *testing.T, isf string)) {
	t.Helper()
	t.Run("image", func(t *testing.T) { test(t, "") })
	t.Run("isf", func(t *testing.T) {
		if img.ISF == "" {
			t.Skipf("%s has no symbol file", img.Name)
		}
		test(t, img.ISF)
	})
}

// unpackedISF returns where a symbol file is uncompressed: to decode xz is most of what it takes to read one.
func unpackedISF(path string) (string, error) {
	if filepath.Ext(path) != compressedXZ {
		return path, nil
	}
	return unpacked(path, writeFile)
}
