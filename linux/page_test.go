package linux_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// countPages returns how many pages of each class an image has.
func countPages(t *testing.T, k *linux.Kernel, img *image.File) map[memmap.PageClass]int {
	t.Helper()
	pages, err := k.Pages()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[memmap.PageClass]int{}
	classes := make([]memmap.PageClass, 4096)
	for _, r := range img.Ranges() {
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

// countSlack returns how many pages a sum of the kernel's counters may be off. Each CPU, of
// which lab nodes have 2, keeps up to 125 of each counter to itself (calculate_normal_threshold
// of mm/vmstat.c), and holds up to 31 pages back from the lists that tell what they are
// (struct folio_batch). A running machine was captured while it changed.
func countSlack(image string, counters int) int {
	slack := 2 * (125*counters + 31)
	if strings.HasSuffix(image, ".lime") {
		slack += 1024
	}
	return slack
}

// TestPagesOfImages compares how many pages of a class there are with what the kernel
// counted, in the same image.
func TestPagesOfImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			file, err := image.Open(t.Context(), img.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			k, err := linux.Open(context.Background(), file.Memory, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := countPages(t, k, file)
			zone := func(name string) int { return counter(t, k, "vm_zone_stat", "zone_stat_item", name) }
			node := func(name string) int { return counter(t, k, "vm_node_stat", "node_stat_item", name) }
			anon := got[memmap.PageAnon] + got[memmap.PageStack]
			files := got[memmap.PageFile] + got[memmap.PageCleanFile]
			within := func(what string, got, low, high, counters int) {
				slack := countSlack(img.Path, counters)
				if got < low-slack || got > high+slack {
					t.Errorf("%s: %d pages, by what the kernel counted %d to %d, give or take %d", what, got, low, high, slack)
				}
			}
			free := zone("NR_FREE_PAGES")
			within("free", got[memmap.PageFree], free, free, 1)
			// Of a large page a part may be mapped no more; and shmem is on the same lists.
			listed := node("NR_INACTIVE_ANON") + node("NR_ACTIVE_ANON") + node("NR_UNEVICTABLE")
			within("anonymous", anon, node("NR_ANON_MAPPED"), listed, 3)
			// The swap cache counts as files, and has anonymous pages. Its own count there is since 5.12.
			swapped := 0
			if _, err := k.Symbols().Constant("node_stat_item", "NR_SWAPCACHE"); err == nil {
				swapped = node("NR_SWAPCACHE")
			}
			within("file", files, node("NR_FILE_PAGES")-swapped, node("NR_FILE_PAGES")-swapped, 2)
			// Until 6.14 large kmallocs count as slab and can't be told from other pages.
			slab := node("NR_SLAB_RECLAIMABLE_B") + node("NR_SLAB_UNRECLAIMABLE_B")
			within("slab", got[memmap.PageSlab], slab*9/10, slab, 2)
		})
	}
}
