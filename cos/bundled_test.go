package cos

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
)

// bundled is the node image that comes with the repository; the lab's README says what
// is on it.
func bundled(tb testing.TB) testimages.Image {
	tb.Helper()
	dir := filepath.Join("..", "lab", "node")
	img := testimages.Image{Name: "bundled", Path: filepath.Join(dir, "node.lime.lz4"), ISF: filepath.Join(dir, "node.isf.json.xz")}
	if _, err := os.Stat(img.Path); errors.Is(err, fs.ErrNotExist) {
		tb.Skip(err)
	}
	return img
}

// bundledTruth unpacks the truth about the bundled node.
func bundledTruth(t *testing.T) *truth.Node {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "lab", "node", "node.truth.tar.xz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := xz.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := extract(dir, tar.NewReader(z)); err != nil {
		t.Fatal(err)
	}
	node, err := truth.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// extract writes the files of an archive below dir.
func extract(dir string, archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return err
		}
	}
}

// TestBundledNode compares the whole report about the bundled node with what /proc said
// on it, and the report must be whole.
func TestBundledNode(t *testing.T) {
	img := bundled(t)
	node := bundledTruth(t)
	for _, opts := range []*Options{{SymbolFile: img.ISF}, nil} {
		r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, node, r)
		if !r.Whole() {
			t.Error("the report is not whole")
		}
	}
}
