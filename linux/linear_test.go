package linux

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
)

// tablePages returns the pages of the page tables on the way to a kernel address, the top one
// first.
func (n *node) tablePages(t *testing.T, a vmem.VirtAddr) []vmem.PhysAddr {
	t.Helper()
	var pages []vmem.PhysAddr
	at := n.k.Info().Root
	for level := n.k.Info().PageTableLevels; level > 0; level-- {
		pages = append(pages, at)
		e, err := n.k.phys.Uint64(at + vmem.PhysAddr(a>>(12+9*(level-1))&511)*8)
		if err != nil || e&1 == 0 {
			t.Fatalf("level %d of %v: entry %#x, %v", level, a, e, err)
		}
		if e&0x80 != 0 {
			break
		}
		at = vmem.PhysAddr(e & 0xf_ffff_ffff_f000)
	}
	return pages
}

// holes is memory of which pages are lost.
type holes struct {
	vmem.Memory
	lost []vmem.PhysAddr
}

func (h *holes) ReadAt(p []byte, off int64) (int, error) {
	for _, page := range h.lost {
		if at := int64(page) - off; at < int64(len(p)) && at > -vmem.PageSize {
			n, _ := h.Memory.ReadAt(p[:max(0, at)], off)
			return n, vmem.ErrNotCaptured
		}
	}
	return h.Memory.ReadAt(p, off)
}

// A damage destroys pages.
type damage struct {
	name string
	do   func(n *node, pages ...vmem.PhysAddr) vmem.Memory
}

// overwriting makes a damage of what is written over a page.
func overwriting(name string, fill func(n *node, page []byte)) damage {
	return damage{name, func(n *node, pages ...vmem.PhysAddr) vmem.Memory {
		m := smeartest.New(n.mem)
		for _, a := range pages {
			page := make([]byte, vmem.PageSize)
			fill(n, page)
			m.Write(a, page)
		}
		return m
	}}
}

// damages are the kinds of damage to a page.
var damages = []damage{
	overwriting("zeros", func(*node, []byte) {}),
	overwriting("random", func(_ *node, page []byte) {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range page {
			page[i] = byte(r.Uint32())
		}
	}),
	overwriting("another page", func(n *node, page []byte) {
		_, _ = n.mem.ReadAt(page, int64(n.k.Info().Root)-16<<20)
	}),
	{"not captured", func(n *node, pages ...vmem.PhysAddr) vmem.Memory { return &holes{n.mem, pages} }},
}

// Page tables of the direct map are not needed, and their loss is told once.
func TestDirectMapTables(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	tables := n.tablePages(t, whole[1].Addr)
	for i, d := range damages {
		lost := tables[1+i%(len(tables)-1)]
		t.Run(fmt.Sprintf("%s at %v", d.name, lost), func(t *testing.T) {
			k, err := n.open(d.do(n, lost))
			if err != nil {
				t.Fatal(err)
			}
			tasks, gaps := walk(t, k)
			if diff := cmp.Diff(pids(whole), pids(tasks)); diff != "" || len(gaps) > 0 {
				t.Errorf("gaps %v, PIDs (-whole +got):\n%s", gaps, diff)
			}
			n.checkTableGap(t, k, lost)
		})
	}
}

// checkTableGap checks that the one loss of a kernel is that of a page table.
func (n *node) checkTableGap(t *testing.T, k *Kernel, lost vmem.PhysAddr) {
	t.Helper()
	gaps := k.Gaps()
	if len(gaps) != 1 || gaps[0].Object != "page tables of the kernel" {
		t.Fatalf("gaps of the kernel: %v", gaps)
	}
	if at := gaps[0].Place.Physical(); !slices.Contains(n.near(t, lost), at.Start) {
		t.Errorf("the loss of %v is told at %v: %v", lost, at, gaps[0])
	}
}

// near returns the tables that a loss may be told at: of a table with one entry it can't be
// told from the next one's.
func (n *node) near(t *testing.T, lost vmem.PhysAddr) []vmem.PhysAddr {
	t.Helper()
	all := []vmem.PhysAddr{lost}
	whole, _ := walk(t, n.k)
	for _, a := range []vmem.VirtAddr{n.k.initTask, whole[1].Addr} {
		pages := n.tablePages(t, a)
		if i := slices.Index(pages, lost); i >= 0 {
			all = append(all, pages[max(0, i-1):min(len(pages), i+2)]...)
		}
	}
	return all
}
