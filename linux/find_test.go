package linux

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// A lostPage is a page that leads to the kernel, and the object of the one loss that tells it.
type lostPage struct {
	name   string
	page   vmem.PhysAddr
	object string
}

// leads returns the pages by which the kernel is found and read.
func (n *node) leads(t *testing.T) []lostPage {
	t.Helper()
	variable := func(name string) lostPage {
		a, err := n.k.Symbol(name)
		if err != nil {
			t.Fatal(err)
		}
		return lostPage{name, n.phys(t, a) &^ (vmem.PageSize - 1), name}
	}
	pages := []lostPage{variable("linux_banner"), variable("phys_base"), variable("page_offset_base"), variable("init_mm")}
	pages = append(pages, lostPage{"init_task's comm", n.phys(t, n.k.Object("init_task").At("comm").Addr()) &^ (vmem.PageSize - 1), "init_task"})
	whole, _ := walk(t, n.k)
	seen := map[vmem.PhysAddr]bool{}
	for _, a := range []vmem.VirtAddr{n.k.initTask, n.k.Object("linux_banner").Addr(), whole[1].Addr} {
		for _, page := range n.tablePages(t, a) {
			if !seen[page] {
				seen[page] = true
				pages = append(pages, lostPage{"page table", page, "page tables of the kernel"})
			}
		}
	}
	return pages
}

// No single page is needed to find the kernel, nor to find all processes: what is lost is told
// once.
func TestLostPage(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	for i, lost := range n.leads(t) {
		for j, d := range damages {
			if i%len(damages) != j && !testimages.Thorough() {
				continue
			}
			t.Run(lost.name+" "+d.name, func(t *testing.T) {
				k, err := n.open(d.do(n, lost.page))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(n.k.Info(), k.Info(), cmpopts.IgnoreFields(Info{}, "FoundBy")); diff != "" {
					t.Errorf("info (-whole +got):\n%s", diff)
				}
				if gaps := k.Gaps(); len(gaps) != 1 || !strings.Contains(gaps[0].Object, lost.object) {
					t.Errorf("gaps of the kernel: %v, want one of %s", gaps, lost.object)
				}
				tasks, _ := walk(t, k)
				if diff := cmp.Diff(pids(whole), pids(tasks)); diff != "" {
					t.Errorf("PIDs (-whole +got):\n%s", diff)
				}
			})
		}
	}
}

// Nor does it take two pages, of whatever VMCOREINFO leads to.
func TestLostPages(t *testing.T) {
	n := openBundled(t)
	pages, vmcoreinfo := n.leads(t), n.vmcoreInfoPages(t)
	for i, first := range pages {
		second, d := pages[(i+1+i%3)%len(pages)], damages[i%len(damages)]
		for _, notes := range [][]vmem.PhysAddr{nil, vmcoreinfo} {
			lost := append(slices.Clone(notes), first.page, second.page)
			k, err := n.open(d.do(n, lost...))
			if err != nil {
				t.Errorf("%s of %s, %s and %d pages of VMCOREINFO: %v", d.name, first.name, second.name, len(notes), err)
				continue
			}
			if diff := cmp.Diff(n.k.Info(), k.Info(), cmpopts.IgnoreFields(Info{}, "FoundBy")); diff != "" {
				t.Errorf("%s of %s, %s and %d pages of VMCOREINFO: info (-whole +got):\n%s", d.name, first.name, second.name, len(notes), diff)
			}
			if len(k.Gaps()) == 0 {
				t.Errorf("%s of %s, %s: no gap", d.name, first.name, second.name)
			}
		}
	}
}

// The kernel of a guest, whose memory is in that of the node, is not the node's: what it says
// of physical memory is true elsewhere.
func TestGuestKernel(t *testing.T) {
	n := openBundled(t)
	image := n.imageMap(t)
	const by = 96 << 20
	for _, own := range []bool{true, false} {
		m := smeartest.New(n.mem)
		copied := make([]byte, image.Range.Size)
		if _, err := n.mem.ReadAt(copied, int64(image.Phys)); err != nil {
			t.Fatal(err)
		}
		m.Write(image.Phys+by, copied)
		for _, page := range n.vmcoreInfoPages(t) {
			m.Write(page, make([]byte, vmem.PageSize))
		}
		if !own { // the node's own kernel is gone
			m.Write(image.Phys, make([]byte, image.Range.Size))
		}
		k, err := n.open(m)
		if own && (err != nil || k.Info().PhysBase != n.k.Info().PhysBase) || !own && err == nil {
			t.Errorf("own kernel %t: found %v, %v", own, k, err)
		}
	}
}

// imageMap returns where the kernel's image is.
func (n *node) imageMap(t *testing.T) vmem.LinearMap {
	t.Helper()
	return n.k.space.LinearMaps()[0]
}

// A VMCOREINFO that says wrongly how far the kernel was moved is not believed.
func TestFalseKernelOffset(t *testing.T) {
	n := openBundled(t)
	pages := n.vmcoreInfoPages(t)
	m := smeartest.New(n.mem)
	for _, page := range pages {
		b := make([]byte, vmem.PageSize)
		if _, err := n.mem.ReadAt(b, int64(page)); err != nil {
			t.Fatal(err)
		}
		m.Write(page, []byte(strings.Replace(string(b), "KERNELOFFSET=", "KERNELOFFSET=1", 1))[:vmem.PageSize])
	}
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(n.k.Info(), k.Info(), cmpopts.IgnoreFields(Info{}, "FoundBy")); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
}
