package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/command"
)

// call runs the command.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefused(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "name the version",
		"1.2.3":                              `"1.2.3" is no version`,
		"v1.2":                               `"v1.2" is no version`,
		"v2.0.0":                             `"v2.0.0" is no version`,
		"v1.2.3 plan9/386":                   `"plan9/386" is none of`,
		"v1.2.3 -bin x":                      "-bin is for one target",
		"v1.2.3 -bin x linux/amd64 a/b":      "-bin is for one target",
		"-sbom":                              "name the programs",
		"v1.2.3 -version=false --nosuchflag": "flag provided but not defined",
	} {
		if status, stdout, stderr := call(t, strings.Fields(args)...); status != command.Usage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit status %d: %q, %q", args, status, stdout, stderr)
		}
	}
}

// What is released is of one run: nothing is written where there is something.
func TestNotEmpty(t *testing.T) {
	dir := t.TempDir()
	if err := empty(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
	if err := empty(dir); err == nil || !strings.HasSuffix(err.Error(), "is not empty: there is a") {
		t.Error(err)
	}
}

// entries are those of the archives of tests, in no order.
func entries(t *testing.T) []entry {
	t.Helper()
	name := filepath.Join(t.TempDir(), "any")
	if err := os.WriteFile(name, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []entry{{name: "nodelens", path: name, program: true}, {name: "LICENSE", content: []byte("licence")}}
}

// A file is what an archive has of one.
type file struct {
	Name, Content string
	Mode          fs.FileMode
	Time          time.Time
	UID           int
	User          string
}

func wanted(dir bool) []file {
	all := []file{{Name: "x/LICENSE", Content: "licence", Mode: 0o644, Time: made}, {Name: "x/nodelens", Content: "program", Mode: 0o755, Time: made}}
	if dir {
		all = append([]file{{Name: "x/", Mode: 0o755 | fs.ModeDir, Time: made}}, all...)
	}
	return all
}

// archived writes an archive twice, with the entries in another order and of files of another time, and returns it.
func archived(t *testing.T, zipped bool, extension string) []byte {
	t.Helper()
	var first []byte
	for i := range 2 {
		dir, in := t.TempDir(), entries(t)
		if i == 1 {
			slices.Reverse(in)
			if err := os.Chtimes(in[1].path, time.Time{}, time.Unix(1e9, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeArchive(filepath.Join(dir, "x"), zipped, in); err != nil {
			t.Fatal(err)
		}
		b := read(t, filepath.Join(dir, "x"+extension))
		if i == 1 && !bytes.Equal(first, b) {
			t.Error("the second archive is another")
		}
		first = b
	}
	return first
}

func TestTar(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(archived(t, false, ".tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("gzip tells %q and %v", z.Name, z.ModTime)
	}
	var got []file
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, file{h.Name, string(b), h.FileInfo().Mode(), h.ModTime.UTC(), h.Uid + h.Gid, h.Uname + h.Gname})
	}
	if d := cmp.Diff(wanted(true), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestZip(t *testing.T) {
	b := archived(t, true, ".zip")
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var got []file
	for _, f := range z.File {
		content, err := fs.ReadFile(z, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, file{Name: f.Name, Content: string(content), Mode: f.Mode(), Time: f.Modified.UTC()})
	}
	if d := cmp.Diff(wanted(false), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestSums: the digest of abc is that of FIPS 180-2, appendix B.1.
func TestSums(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"b": "abc", "a": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeSums(dir); err != nil {
		t.Fatal(err)
	}
	const want = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n" +
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b\n"
	if got := string(read(t, filepath.Join(dir, sumsFile))); got != want {
		t.Errorf("%s", got)
	}
}

func TestLicences(t *testing.T) {
	dir := t.TempDir()
	if err := licencesIn(new(bytes.Buffer), "m v1", dir); err == nil || !strings.Contains(err.Error(), "m v1 has no licence") {
		t.Error(err)
	}
	for name, content := range map[string]string{"LICENSE.txt": " may\r\nbe used \n", "license.go": "package m", "NOTICE": "of whom", "main.go": "package m"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := licencesIn(&out, "m v1", dir); err != nil {
		t.Fatal(err)
	}
	const want = "\n==== m v1: LICENSE.txt ====\n\nmay\nbe used\n\n==== m v1: NOTICE ====\n\nof whom\n"
	if got := out.String(); got != want {
		t.Errorf("%q", got)
	}
}

// Package URLs are as the type golang has them (package-url/purl-spec).
func TestPURL(t *testing.T) {
	for _, test := range [][3]string{
		{"github.com/BurntSushi/toml", "v1.6.0", "pkg:golang/github.com/burntsushi/toml@v1.6.0"},
		{"github.com/russross/blackfriday", "v2.0.0+incompatible", "pkg:golang/github.com/russross/blackfriday@v2.0.0%2Bincompatible"},
		{"std", "go1.26.8 X:nodwarf5", "pkg:golang/std@1.26.8"},
		{modulePath, "(devel)", "pkg:golang/github.com/nodelens/nodelens"},
	} {
		if got := purl(test[0], test[1]); got != test[2] {
			t.Errorf("%s %s: %s, want %s", test[0], test[1], got, test[2])
		}
	}
}

// TestSBOM prints the bill of materials of this test: it has each module that the program says that it has, with the digest of its file, and no
// reference to nothing. interop/release holds it against the schema of CycloneDX.
func TestSBOM(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call(t, "-sbom", self)
	if status != command.OK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	var b bill
	if err := json.Unmarshal([]byte(stdout), &b); err != nil {
		t.Fatal(err)
	}
	sum, err := sumOf(self)
	if err != nil {
		t.Fatal(err)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Fatal("this test says nothing of itself")
	}
	programs := b.Metadata.Component.Components
	if len(programs) != 1 || programs[0].Hashes[0].Content != sum || programs[0].Properties[0].Value != info.Path {
		t.Fatalf("programs: %+v", programs)
	}
	want, got := map[string]string{"std": info.GoVersion}, map[string]string{}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	refs := map[string]bool{b.Metadata.Component.Ref: true, programs[0].Ref: true}
	for _, c := range b.Components {
		if got[c.Name] = c.Version; refs[c.Ref] {
			t.Errorf("two have the reference %s", c.Ref)
		}
		refs[c.Ref] = true
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, d := range b.Dependencies {
		if !refs[d.Ref] || slices.ContainsFunc(d.DependsOn, func(r string) bool { return !refs[r] }) {
			t.Errorf("%s is nothing, or needs what is nothing: %q", d.Ref, d.DependsOn)
		}
	}
	if needs := b.Dependencies[1]; len(needs.DependsOn) != len(want) {
		t.Errorf("%s needs %q", needs.Ref, needs.DependsOn)
	}
	if _, again, _ := call(t, "-sbom", self); again != stdout {
		t.Error("the second time it is another")
	}
}

// TestLines: what the documentation and the recipe of the container image call is taken.
func TestLines(t *testing.T) {
	for _, name := range []string{"main.go", "Containerfile", "../docs/release.md"} {
		lines := 0
		for line := range strings.Lines(string(read(t, name))) {
			_, args, found := strings.Cut(line, "go run ./release ")
			if !found {
				continue
			}
			lines++
			args = strings.NewReplacer("${VERSION}", "v1.2.3", "${TARGETOS}/${TARGETARCH}", "linux/arm64").Replace(args)
			args, _, _ = strings.Cut(args, "   ")
			args, _, _ = strings.Cut(args, `"`)
			var w wish
			c := w.command()
			rest, _, end := c.Parse(strings.Fields(args), io.Discard, io.Discard)
			if end {
				t.Errorf("%s: %s is refused", name, line)
			} else if err := w.check(rest); err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			}
		}
		if lines == 0 {
			t.Errorf("%s calls nothing", name)
		}
	}
}
