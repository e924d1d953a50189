package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHouse(t *testing.T) {
	imports, err := readImports(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(imports["internal/testimages"]) == 0 {
		t.Error("the imports of internal/testimages were not found, so others may be missing too")
	}
	for _, v := range violations(imports) {
		t.Error(v)
	}
}

// Who takes the symbols out of the image does not build what reads DWARF.
func TestNoConverters(t *testing.T) {
	imports, err := readImports(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"cos", "image", "linux"} {
		for target, by := range reachable(pkg, imports) {
			if target == module+"/dwarfconv" || strings.HasPrefix(target, delve) {
				t.Errorf("%s needs %s, which %s imports", pkg, target, by)
			}
		}
	}
	if reachable("dwarfconv", imports)[delve+"/op"] == "" {
		t.Error("dwarfconv does not import delve, or its imports were not found")
	}
}

// reachable returns what pkg imports, itself or by other packages of this module, and the
// last of those.
func reachable(pkg string, imports map[string][]string) map[string]string {
	found := map[string]string{}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, target := range imports[queue[0]] {
			if found[target] != "" {
				continue
			}
			found[target] = queue[0]
			if dir, ours := within(target); ours {
				queue = append(queue, dir)
			}
		}
	}
	return found
}

func TestViolations(t *testing.T) {
	got := violations(map[string][]string{
		".":                    {module + "/vmem"},
		"vmem":                 {"io", "C", module + "/internal/fast"},
		"isf":                  {module + "/internal/extent", "github.com/klauspost/compress/zstd"},
		"linux":                {module + "/isf", module + "/vmcoreinfo", module + "/linux/internal/x", module + "/internal/testimages"},
		"linux/internal/x":     {module + "/cos", module},
		"kcore":                {module + "/vmem", "golang.org/x/exp/mmap", "golang.org/x/exp/mmapped"},
		"cos":                  {module + "/linux", module + "/examples/analyzenode"},
		"examples/analyzenode": {module + "/cos", module + "/lime", "fmt"},
		"internal/extent":      {"slices", module + "/vmem"},
		"internal/fast":        {"example.org/fast", module + "/internal/fast/asm"},
		"internal/fast/asm":    {module + "/internal/fast"},
		"internal/testimages":  {module + "/cos", "example.org/anything"},
		"internal/dwarftest":   {module + "/dwarfconv"},
		"workshop":             {"fmt"},
	})
	want := []string{
		". must not use " + module + "/vmem, which . imports",
		"cos must not use " + module + "/examples/analyzenode, which cos imports",
		"internal/fast must not use example.org/fast, which internal/fast imports",
		"internal/fast/asm must not use example.org/fast, which internal/fast imports",
		"isf must not use " + module + "/vmem, which internal/extent imports",
		"kcore must not use golang.org/x/exp/mmapped, which kcore imports",
		"linux must not use " + module + "/internal/testimages, which linux imports",
		"linux must not use " + module + "/cos, which linux/internal/x imports",
		"linux must not use " + module + ", which linux/internal/x imports",
		"linux/internal/x must not use " + module + "/cos, which linux/internal/x imports",
		"linux/internal/x must not use " + module + ", which linux/internal/x imports",
		"vmem must not use C, which vmem imports",
		"vmem must not use example.org/fast, which internal/fast imports",
		"workshop is in no room of the table",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// readImports returns what the packages of the module at root import outside
// tests, by their directory relative to it.
func readImports(root string) (map[string][]string, error) {
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && outside(path, d.Name()):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		if imports[pkg] == nil {
			imports[pkg] = []string{} // a package that imports nothing is one too
		}
		for _, spec := range file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports[pkg] = append(imports[pkg], target)
		}
		return nil
	})
	return imports, err
}

// outside reports whether a directory is not part of the module, by the rules of
// the go command.
func outside(path, name string) bool {
	if name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}
