package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// call is a function or a method as docs/plugins.md names it: package.Function, package.Type.Method.
var call = regexp.MustCompile("`((?:linux|vmcoreinfo)(?:/[a-z/]+)?)\\.([A-Z]\\w*(?:\\.\\w+)?)`")

// TestPlugins: all calls that the table of plugins names exist.
func TestPlugins(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]bool{}
	calls := call.FindAllStringSubmatch(string(text), -1)
	for _, c := range calls {
		pkg, name := c[1], c[2]
		if known[pkg] == nil {
			known[pkg] = functions(t, filepath.Join(root, pkg))
		}
		if !known[pkg][name] {
			t.Errorf("there is no %s.%s", pkg, name)
		}
	}
	if len(calls) < 40 {
		t.Errorf("only %d calls were found", len(calls))
	}
}

// functions returns the exported functions and methods of a package.
func functions(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			full := fn.Name.Name
			if fn.Recv != nil {
				typ := fn.Recv.List[0].Type
				if p, ok := typ.(*ast.StarExpr); ok {
					typ = p.X
				}
				if id, ok := typ.(*ast.Ident); ok {
					full = id.Name + "." + full
				}
			}
			all[full] = true
		}
	}
	return all
}
