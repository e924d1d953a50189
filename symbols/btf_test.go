package symbols

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/symboltest"
)

// kallsyms is a System.map as /proc/kallsyms shows it: where the kernel runs, and with
// the symbols of modules.
func kallsyms(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	for line := range strings.Lines(string(symboltest.File("running.map"))) {
		var addr uint64
		var rest string
		if _, err := fmt.Sscanf(line, "%x", &addr); err != nil {
			t.Fatal(err)
		}
		_, rest, _ = strings.Cut(line, " ")
		fmt.Fprintf(&b, "%016x %s", addr+symboltest.Shift, rest)
	}
	b.WriteString("ffffffffc0000000 t init_module\t[module]\n")
	return b.Bytes()
}

func TestBTF(t *testing.T) {
	btf, systemMap := symboltest.File("running.btf"), symboltest.File("running.map")
	for name, files := range map[string]map[string][]byte{
		"System.map":              {"System.map": systemMap},
		"System.map of a release": {"System.map-" + symboltest.Running.Release: systemMap, "System.map": []byte("of another kernel")},
		"kallsyms":                {"kallsyms": kallsyms(t)},
		"with the banner":         {"kallsyms": kallsyms(t), "version": []byte(symboltest.Running.Banner() + "\n")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := put(t, dir, "vmlinux", btf)
			for name, b := range files {
				put(t, dir, name, b)
			}
			for _, given := range []string{path, dir} {
				store := NewStore(t.TempDir())
				found, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Paths: []string{given}, Store: store})
				if err != nil || found.From != "BTF "+path || found.KeepErr != nil {
					t.Fatalf("%+v, %v", found, err)
				}
				if s, err := found.File.Symbol("linux_banner"); err != nil || s.Address != symboltest.Version {
					t.Errorf("%+v, %v", s, err)
				}
				_, versioned := files["version"]
				if kept, err := store.list(); err != nil || versioned != (len(kept) == 1) {
					t.Errorf("kept %q, %v", kept, err)
				}
			}
		})
	}
}

// TestBTFOfAnother: without a banner, it shows by what VMCOREINFO says of the symbols.
func TestBTFOfAnother(t *testing.T) {
	path := write(t, "vmlinux", symboltest.File("running.btf"))
	moved := bytes.Replace(symboltest.File("running.map"), []byte("ffffffff82600040"), []byte("ffffffff82600080"), 1)
	put(t, filepath.Dir(path), "System.map", moved)
	_, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Given: path})
	if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "SYMBOL(init_uts_ns)") {
		t.Errorf("%v", err)
	}
}

func TestBTFAlone(t *testing.T) {
	path := write(t, "vmlinux", symboltest.File("running.btf"))
	if _, err := Find(t.Context(), symboltest.Running.Memory(), &Options{Given: path}); !errors.Is(err, errNoList) {
		t.Errorf("%v", err)
	}
}
