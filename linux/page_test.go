package linux_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// countPages returns how many pages of each class an image has.
func countPages(t *testing.T, k *linux.Kernel, img *cos.ImageFile) map[kcore.PageClass]int {
	t.Helper()
	pages, err := k.Pages()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[kcore.PageClass]int{}
	classes := make([]kcore.PageClass, 4096)
	for _, r := range img.Memory.Ranges() {
		for at := (r.Start + 0xfff) &^ 0xfff; at+0xfff <= r.Last(); {
			n := min(len(classes)-int(at>>12)%len(classes), int(r.Last()+1-at)>>12)
			// QEMU's dumps have memory that is no RAM, and has no struct page.
			if err := pages.ClassifyPages(classes[:n], at); err == nil {
				for _, c := range classes[:n] {
					counts[c]++
				}
			}
			at += vmem.PhysAddr(n) * 0x1000
		}
	}
	return counts
}

// counter reads an entry of the kernel's own page counts (mm/vmstat.c).
func counter(t *testing.T, k *linux.Kernel, array, enum, name string) int {
	t.Helper()
	addr, err := k.Symbol(array)
	if err != nil {
		t.Fatal(err)
	}
	i, err := k.Symbols().Constant(enum, name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.Space().Uint64(addr + vmem.VirtAddr(8*i))
	if err != nil {
		t.Fatal(err)
	}
	return int(v)
}

// TestPagesOfImages compares how many pages of a class there are with what the kernel
// counted, in the same image.
func TestPagesOfImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if img.ISF == "" {
				t.Skip("no symbols")
			}
			file, err := cos.Open(img.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			symbols, err := isf.Open(img.ISF)
			if err != nil {
				t.Fatal(err)
			}
			k, err := linux.Open(context.Background(), file.Memory, &linux.Options{Symbols: symbols})
			if err != nil {
				t.Fatal(err)
			}
			got := countPages(t, k, file)
			zone := func(name string) int { return counter(t, k, "vm_zone_stat", "zone_stat_item", name) }
			node := func(name string) int { return counter(t, k, "vm_node_stat", "node_stat_item", name) }
			// Each CPU keeps up to 125 of a count to itself; and a running machine was
			// captured while it changed.
			slack := 256
			if strings.HasSuffix(img.Path, ".lime") {
				slack = 1024
			}
			same := func(what string, got, want int) {
				if got < want-slack || got > want+slack {
					t.Errorf("%s: %d pages, the kernel counted %d", what, got, want)
				}
			}
			same("free", got[kcore.PageFree], zone("NR_FREE_PAGES"))
			// Of a large page a part may be mapped no more; and shmem is on the same lists.
			mapped, listed := node("NR_ANON_MAPPED"), node("NR_INACTIVE_ANON")+node("NR_ACTIVE_ANON")+node("NR_UNEVICTABLE")
			if got := got[kcore.PageAnon]; got < mapped-slack || got > listed+slack {
				t.Errorf("anonymous: %d pages, the kernel counted %d mapped, %d with shmem", got, mapped, listed)
			}
			same("file", got[kcore.PageFile]+got[kcore.PageCleanFile], node("NR_FILE_PAGES"))
			slab := node("NR_SLAB_RECLAIMABLE_B") + node("NR_SLAB_UNRECLAIMABLE_B")
			// Until 6.14 large kmallocs count as slab and can't be told from other pages.
			if got := got[kcore.PageSlab]; got > slab+slack || got < slab*9/10 {
				t.Errorf("slab: %d pages, the kernel counted %d", got, slab)
			}
		})
	}
}
