package cos

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kdump"
)

// A file of a split dump may not have the kernel; then the error says that there are others.
func TestSplitDump(t *testing.T) {
	name := put(t, "vmcore", kdumpFixture(t, "split2.kdump.gz"))
	r, err := AnalyzeNode(t.Context(), File(name), nil)
	if r != nil || err == nil || !strings.Contains(err.Error(), kdump.ErrSplit.Error()) {
		t.Errorf("%v, %v", r, err)
	}
}

// kdumpFixture returns a dump of package kdump's tests.
func kdumpFixture(t *testing.T, name string) []byte {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "kdump", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}
