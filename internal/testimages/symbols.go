package testimages

import (
	"path/filepath"
	"strings"
	"testing"
)

// SymbolFiles returns the ISF files there are, of as many kernels as possible: that of the
// bundled image, and unless tests are to be short those in the directory that
// NODELENS_GOLDEN names, by the kernel's release, such as 6.1.0-56. Files of types alone
// are among them.
func SymbolFiles(t testing.TB) map[string]string {
	t.Helper()
	bundled, err := Bundled()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"6.1.0-56": bundled.ISF}
	dir, err := locate("NODELENS_GOLDEN", "golden")
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
			if files[name] == "" {
				files[name] = path
			}
		}
	}
	return files
}
