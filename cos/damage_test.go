package cos

import (
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

const pageSize = 4096

// damaged is memory of which some pages are lost or overwritten. What of is known of
// the capture as a whole (VMCOREINFO) is hidden, so that the kernel must be searched.
type damaged struct {
	vmem.Memory
	lost  map[int64]bool // page numbers
	trash map[int64]bool
	end   int64 // first address behind the memory
}

func (d *damaged) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= d.end || d.lost[at/pageSize] {
			return n, vmem.ErrNotCaptured
		}
		part := p[n:min(len(p), n+int(pageSize-at%pageSize))]
		m, err := d.Memory.ReadAt(part, at)
		if d.trash[at/pageSize] {
			overwrite(part[:m], uint64(at/pageSize))
		}
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// overwrite fills p with what depends on the page alone.
func overwrite(p []byte, page uint64) {
	r := rand.New(rand.NewPCG(page, 1))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

func (d *damaged) Ranges() []vmem.Range[vmem.PhysAddr] {
	var all []vmem.Range[vmem.PhysAddr]
	for _, r := range d.Memory.Ranges() {
		if r = r.Intersect(vmem.Range[vmem.PhysAddr]{Size: uint64(d.end)}); r.Size > 0 {
			all = append(all, r)
		}
	}
	return all
}

// touched records which pages are read once it is switched on.
type touched struct {
	vmem.Memory
	mu    sync.Mutex // guards pages
	pages map[int64]bool
}

func (m *touched) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	for page := off / pageSize; m.pages != nil && page*pageSize < off+int64(len(p)); page++ {
		m.pages[page] = true
	}
	m.mu.Unlock()
	return m.Memory.ReadAt(p, off)
}

// An undamaged is an image, what it says, and the pages that it says it with.
type undamaged struct {
	mem     vmem.Memory
	symbols *isf.File
	report  *NodeReport
	pages   []int64 // ascending
	end     int64   // first address behind the memory
}

func openUndamaged(t *testing.T, img testimages.Image) *undamaged {
	t.Helper()
	f, err := image.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	u := &undamaged{mem: f.Memory}
	if u.symbols, err = openISF(img.ISF); err != nil {
		t.Fatal(err)
	}
	m := &touched{Memory: f.Memory}
	k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: u.symbols})
	if err != nil {
		t.Fatal(err)
	}
	m.pages = map[int64]bool{}
	a, err := readNode(t.Context(), k, secrecy{})
	if err != nil {
		t.Fatal(err)
	}
	u.report = a.report
	u.report.Kernel.Symbols = "given"
	u.pages = slices.Sorted(maps.Keys(m.pages))
	ranges := f.Ranges()
	u.end = int64(ranges[len(ranges)-1].Last()) + 1
	return u
}

// anyUndamaged opens the first image that has symbols.
func anyUndamaged(t *testing.T) *undamaged {
	t.Helper()
	for _, img := range testimages.All(t) {
		if img.ISF != "" {
			return openUndamaged(t, img)
		}
	}
	t.Skip("no image with symbols")
	return nil
}

// some returns a few of the pages that the report depends on.
func (u *undamaged) some(r *rand.Rand) map[int64]bool {
	pages := map[int64]bool{}
	for range 1 + r.IntN(8) {
		pages[u.pages[r.IntN(len(u.pages))]] = true
	}
	return pages
}

// analyze analyses what is left of the image. It fails the test if that takes more
// memory than any report needs.
func (u *undamaged) analyze(t *testing.T, d *damaged) (r *NodeReport, err error) {
	t.Helper()
	d.Memory = u.mem
	d.end = cmp.Or(d.end, u.end)
	alloctest.AtMost(t, 512<<20, "", func() { r, err = AnalyzeNode(t.Context(), Memory(d), &Options{Symbols: u.symbols}) })
	return r, err
}

// checkLoss reports an error if r differs from the undamaged report and doesn't say
// that anything is lost. What has nothing to do with a process may only be counted.
func (u *undamaged) checkLoss(t *testing.T, r *NodeReport, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, linux.ErrNoKernel) {
			t.Errorf("no report: %v", err)
		}
		return
	}
	known := map[string]bool{}
	for _, g := range u.report.Gaps {
		known[g.Error()] = true
	}
	if slices.ContainsFunc(r.Gaps, func(g vmem.Gap) bool { return !known[g.Error()] }) {
		return
	}
	if diff := gocmp.Diff(u.report, r, cmpopts.IgnoreFields(NodeReport{}, "Gaps", "Provenance", "Kernel.FoundBy", "Consistency")); diff != "" {
		t.Errorf("lost without a gap (-undamaged +damaged):\n%s", diff)
	}
}

// TestDamagedImages analyses each image many times, each time with other damage. What
// can't be read must stand in the gaps; what was overwritten may go unnoticed, but
// must do no harm.
func TestDamagedImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if img.ISF == "" {
				t.Skip("no symbols")
			}
			u := openUndamaged(t, img)
			rng := rand.New(rand.NewPCG(1, 2))
			for range damageTrials() {
				r, err := u.analyze(t, &damaged{lost: u.some(rng)})
				u.checkLoss(t, r, err)
				r, err = u.analyze(t, &damaged{end: rng.Int64N(u.end)})
				u.checkLoss(t, r, err)
				if _, err := u.analyze(t, &damaged{trash: u.some(rng)}); err != nil && !errors.Is(err, linux.ErrNoKernel) {
					t.Errorf("no report: %v", err)
				}
			}
		})
	}
}

// damageTrials is how often each image is damaged in each way.
func damageTrials() int {
	if testimages.Thorough() {
		return 12
	}
	return 4
}
