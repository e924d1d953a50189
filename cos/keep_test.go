package cos_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/vmem"
)

// A counter is a source of symbols that counts how often it is asked: once for each time that a kernel is opened.
type counter struct {
	symbols.Options
	asked int
}

func (c *counter) Symbols(ctx context.Context, mem vmem.Memory) (*isf.File, string, error) {
	c.asked++
	return c.Options.Symbols(ctx, mem)
}

// A keeper makes reports of a copy of the bundled image.
type keeper struct {
	*testing.T
	image, dir string
	counter    counter
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{T: t, dir: filepath.Join(t.TempDir(), "reports"), image: filepath.Join(t.TempDir(), "node.lime")}
	if err := os.WriteFile(k.image, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// report returns a report as JSON, and whether the image was opened for it.
func (k *keeper) report(change func(o *cos.Options)) (text string, opened bool) {
	k.Helper()
	o := &cos.Options{
		SymbolSource: &k.counter, Arguments: []string{"a", "b"},
		Keep: &cos.Keep{Dir: k.dir, Program: "test 1", Own: symbols.FromImage},
	}
	if change != nil {
		change(o)
	}
	asked := k.counter.asked
	r, err := cos.AnalyzeNode(k.Context(), cos.File(k.image), o)
	if err != nil {
		k.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		k.Fatal(err)
	}
	return string(b), k.counter.asked > asked
}

func (k *keeper) files() []string {
	k.Helper()
	names, err := filepath.Glob(filepath.Join(k.dir, "*"))
	if err != nil {
		k.Fatal(err)
	}
	return names
}

// TestKeep: of an image whose report is kept, reports with any of its sections are as those that are read anew.
func TestKeep(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	sections := func(s cos.Sections) func(o *cos.Options) { return func(o *cos.Options) { o.Sections = s } }
	cold, opened := k.report(sections(cos.AllSections))
	if !opened {
		t.Fatal("the first report is from nowhere")
	}
	if warm, opened := k.report(sections(cos.AllSections)); opened || warm != cold {
		t.Errorf("the same report again: opened %t, equal %t", opened, warm == cold)
	}
	choices := []cos.Sections{0, cos.SectionNetwork, cos.SectionLog | cos.SectionMaps}
	if testimages.Thorough() {
		for s := cos.Sections(1); s < cos.AllSections; s <<= 1 {
			choices = append(choices, s)
		}
	}
	for _, s := range choices {
		warm, opened := k.report(sections(s))
		cold, _ := k.report(func(o *cos.Options) { o.Sections, o.Keep = s, nil })
		if opened || warm != cold {
			t.Errorf("%v: opened %t, equal %t", s, opened, warm == cold)
		}
	}
	// What is not of the image is as it is now.
	warm, opened := k.report(func(o *cos.Options) { o.Arguments = []string{"other"} })
	if opened || !strings.Contains(warm, `"arguments":["other"]`) {
		t.Errorf("arguments of another run: opened %t", opened)
	}
	if err := os.WriteFile(k.image+".json", []byte(`{"schema":"nodelens/capture/v1","image":{"bytes":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if warm, opened = k.report(nil); opened || !strings.Contains(warm, "the manifest beside the image is of a file of 1 bytes") {
		t.Errorf("a manifest that came later: opened %t", opened)
	}
}

// TestKeepNothing: what shows or compares more than a report has by default is not kept, and what is kept does not answer it.
func TestKeepNothing(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	k := newKeeper(t)
	refused := map[string]func(o *cos.Options){
		"secrets":                   func(o *cos.Options) { o.Secrets = true },
		"a key":                     func(o *cos.Options) { o.SecretKey = make([]byte, 32) },
		"a digest":                  func(o *cos.Options) { o.Hash = true },
		"symbols from elsewhere":    func(o *cos.Options) { o.Keep.Own = func(string) bool { return false } },
		"a program that is any":     func(o *cos.Options) { o.Keep.Program = "" },
		"nowhere":                   func(o *cos.Options) { o.Keep.Dir = "" },
		"without a look at symbols": func(o *cos.Options) { o.Keep.Own = nil },
	}
	for what, change := range refused {
		if k.report(change); len(k.files()) > 0 {
			t.Errorf("%s: kept %q", what, k.files())
		}
	}
	if k.report(nil); len(k.files()) != 1 {
		t.Fatalf("kept %q", k.files())
	}
	refused["another program"] = func(o *cos.Options) { o.Keep.Program = "test 2" }
	refused["another search"] = func(o *cos.Options) { o.TaskScan = linux.ScanAlways }
	refused["another limit"] = func(o *cos.Options) { o.Limits.ReportFDs = 10 }
	refused["a section that is not kept"] = func(o *cos.Options) { o.Sections = cos.SectionLog }
	delete(refused, "symbols from elsewhere") // which is asked of what is read
	for what, change := range refused {
		if _, opened := k.report(change); !opened {
			t.Errorf("%s: it is answered by what was kept", what)
		}
	}
}

// TestKeepDistrusts: another image and what is damaged are read anew, with the same result.
func TestKeepDistrusts(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	k := newKeeper(t)
	cold, _ := k.report(nil)
	for what, change := range map[string]func() error{
		"an image that was touched": func() error { return os.Chtimes(k.image, time.Time{}, time.Unix(1e9, 0)) },
		"what is kept is damaged": func() error {
			for _, name := range k.files() {
				b, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				b[len(b)/2] ^= 1
				if err := os.WriteFile(name, b, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		"nothing is kept": func() error { return os.RemoveAll(k.dir) },
	} {
		if _, opened := k.report(nil); opened {
			t.Fatalf("%s: before, it was opened", what)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		again, opened := k.report(nil)
		if !opened || again != cold {
			t.Errorf("%s: opened %t, equal %t", what, opened, again == cold)
		}
	}
}
