package cos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// limeImage is one page at 0x10000, after the LiME format's README.
var limeImage = []byte("EMiL\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\xff\x0f\x01\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("page", 1024))

func put(t *testing.T, name string, data []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// lossy is memory that says what it lost.
type lossy struct{ vmem.Memory }

func (lossy) Gaps() []vmem.Gap {
	return []vmem.Gap{
		{Object: "image", Place: vmem.PhysicalPlace(vmem.Range[vmem.PhysAddr]{Start: 0x1000, Size: 0x2000}, 7), Err: vmem.ErrNotCaptured},
		{Object: "image", Place: vmem.ImagePlace(9), Err: fs.ErrInvalid},
	}
}

func TestImageGaps(t *testing.T) {
	got := imageGaps(lossy{})
	want := []string{
		"image at physical address 0x1000+0x2000, file offset 0x7: not captured",
		"image at file offset 0x9: invalid argument",
	}
	var text []string
	for _, g := range got {
		text = append(text, g.Error())
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if len(got) == 2 && !errors.Is(got[0], vmem.ErrNotCaptured) {
		t.Error("the first gap does not wrap its reason")
	}
}

// noKernel is an empty symbol database.
func noKernel(t *testing.T) *isf.File {
	t.Helper()
	f, err := isf.New(isf.Contents{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnalyzeNodeFails(t *testing.T) {
	file := File(put(t, "image", limeImage))
	for name, test := range map[string]struct {
		image Image
		opts  *Options
		want  error
	}{
		"no image":           {Image{}, &Options{Symbols: noKernel(t)}, fs.ErrNotExist},
		"no symbols":         {file, &Options{SymbolSource: symbolFile("missing")}, fs.ErrNotExist},
		"no symbol file":     {file, &Options{SymbolFile: "missing.isf.json.xz"}, fs.ErrNotExist},
		"not an image":       {File(put(t, "image", []byte("text"))), &Options{Symbols: noKernel(t)}, image.ErrFormat},
		"symbols of nothing": {file, &Options{Symbols: noKernel(t)}, kstruct.ErrUnsupported},
	} {
		if r, err := AnalyzeNode(t.Context(), test.image, test.opts); !errors.Is(err, test.want) || r != nil {
			t.Errorf("%s: %v, %v, want %v", name, r, err, test.want)
		}
	}
	r, err := AnalyzeNode(t.Context(), file, nil)
	if _, ok := errors.AsType[*btfconv.MissingError](err); !ok || r != nil {
		t.Errorf("image without symbols of its own: %v, %v, want a MissingError", r, err)
	}
}

func TestUnread(t *testing.T) {
	complete := Pod{Namespace: "n", Name: "p", SandboxID: idS, Containers: []Container{{ID: idA, Name: "c"}}}
	nameless := complete
	nameless.Name = ""
	noContainer := complete
	noContainer.Containers = []Container{{Name: "c"}}
	absent := fmt.Errorf("page 2: %w", &vmem.Fault{Virt: 0x7000, Err: vmem.ErrNotPresent})
	lost := fmt.Errorf("page 2: %w", &vmem.Fault{Virt: 0x7000, Err: vmem.ErrNotCaptured})
	for name, test := range map[string]struct {
		pods        []Pod
		err         error
		gaps, notes int
	}{
		"on disk alone":           {[]Pod{complete}, absent, 0, 1},
		"lost":                    {[]Pod{complete}, lost, 1, 0},
		"needed for a pod":        {[]Pod{complete, nameless}, absent, 1, 0},
		"needed for a container":  {[]Pod{noContainer}, absent, 1, 0},
		"no pods, so none needed": {nil, absent, 0, 1},
	} {
		a := attribution{pods: test.pods}
		g := vmem.Gap{Object: "database", Place: vmem.KernelPlace(0x1000), Err: test.err}
		a.unread(g)
		if len(a.gaps) != test.gaps || len(a.notes) != test.notes {
			t.Errorf("%s: gaps %v, notes %q", name, a.gaps, a.notes)
		}
		want := []vmem.Gap{g}
		if diff := cmp.Diff(want[:test.gaps], a.gaps, cmpopts.EquateErrors(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: gaps (-want +got):\n%s", name, diff)
		}
	}
}

// TestAnalyzeNodeCancelled has contexts that are done before the analysis and after the
// kernel was found.
func TestAnalyzeNodeCancelled(t *testing.T) {
	u := anyUndamaged(t)
	ctx, cancel := context.WithCancel(t.Context())
	k, err := linux.Open(ctx, u.mem, &linux.Options{Symbols: u.symbols})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if r, err := readNode(ctx, k, secrecy{}); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("%v, %v, want %v", r, err, context.Canceled)
	}
	if r, err := AnalyzeNode(ctx, Memory(u.mem), &Options{Symbols: u.symbols}); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("%v, %v, want %v", r, err, context.Canceled)
	}
}
