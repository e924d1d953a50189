package cos

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kdump"
)

// A node's report does not depend on the format of its image.
func TestKdumpReport(t *testing.T) {
	image := testimages.Named(t, "s-6.12-la57")
	want, err := AnalyzeNode(t.Context(), File(image.Path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for format, args := range map[string][]string{
		"kdump, zlib":           {"-c", "-d", "1"},
		"kdump, lzo, flattened": {"-F", "-l", "-d", "0"},
	} {
		name := testimages.Makedumpfile(t, image, args...)
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil || f.Format != format {
			t.Errorf("%s is taken for %s, %v", format, f.Format, err)
		}
		got, err := AnalyzeNode(t.Context(), File(name), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(encoded(t, want), encoded(t, got)); d != "" {
			t.Errorf("%s: report (-plain +kdump):\n%s", format, d)
		}
	}
}

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

func encoded(t *testing.T, r *NodeReport) string {
	t.Helper()
	b, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
