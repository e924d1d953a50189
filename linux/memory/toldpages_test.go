package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Bits of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
const (
	pmSoftDirty = 1 << 55
	pmUffdWP    = 1 << 57
	pmFile      = 1 << 61
	pmSwap      = 1 << 62
	pmPresent   = 1 << 63
	pmFrame     = 1<<55 - 1

	vmSoftDirty = 1 << 27
)

// pagemapOf returns what /proc/PID/pagemap said, by address.
func pagemapOf(t *testing.T, n *node, p *linux.Task) map[vmem.VirtAddr]uint64 {
	t.Helper()
	text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "pages")
	if !ok {
		return nil
	}
	all := map[vmem.VirtAddr]uint64{}
	for b := []byte(text); len(b) >= 16; b = b[16:] {
		all[vmem.VirtAddr(binary.LittleEndian.Uint64(b))] = binary.LittleEndian.Uint64(b[8:])
	}
	return all
}

// pagemapEntry returns a page as pagemap shows it.
func pagemapEntry(s *PageState, at vmem.VirtAddr, dirty bool) (e uint64) {
	switch {
	case s.Flags&Present != 0:
		e = pmPresent | (uint64(s.Phys)+uint64(at-s.Range.Start))/vmem.PageSize
		if s.Page != 0 && (s.Flags&(Anonymous|Zero) == 0 || s.Flags&(Zero|Huge) == Zero|Huge) { // a huge page of zeros is taken for one of a file
			e |= pmFile
		}
	case s.Flags&Swapped != 0:
		e = pmSwap | uint64(s.SwapType) | s.SwapOffset<<5
	default:
		e = pmSwap
	}
	if s.Flags&UffdWP != 0 {
		e |= pmUffdWP
	}
	if dirty && s.Flags&SoftDirty != 0 {
		e |= pmSoftDirty
	}
	return e
}

// movedPage reports whether a page was moved from one frame to another meanwhile, as compaction does: the struct page of the latter says that it is
// that page of the file or of the anonymous memory, and that of the former does not.
func movedPage(t *testing.T, n *node, v *linux.VMA, at vmem.VirtAddr, from, to uint64) bool {
	t.Helper()
	pages, err := n.K.Pages()
	if err != nil {
		t.Fatal(err)
	}
	table, err := n.r.pageTable()
	if err != nil {
		t.Fatal(err)
	}
	area := n.K.Struct("vm_area_struct", v.Addr)
	first, err := area.At("vm_pgoff").Uint()
	if err != nil {
		return false
	}
	var mapping uint64
	if v.File != 0 {
		if mapping, err = area.At("vm_file->f_mapping").Uint(); err != nil {
			return false
		}
	}
	index := first + uint64(at-v.Range.Start)/vmem.PageSize
	holds := func(frame uint64) bool {
		phys := vmem.PhysAddr(frame * vmem.PageSize)
		var info pageInfo
		if err := table.read(phys, &info); err != nil {
			return false
		}
		f, err := pages.Folio(info.at)
		if err != nil || f.Mapping&3 != mappingAnon && f.Mapping != vmem.VirtAddr(mapping) {
			return false
		}
		return f.Mapping != 0 && f.Index+uint64(phys-f.Phys)/vmem.PageSize == index
	}
	return holds(to) && !holds(from)
}

// TestPagemap compares each page of processes that did not run meanwhile with what /proc/PID/pagemap said.
func TestPagemap(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		pages, gone, moved := 0, 0, 0
		for _, p := range n.Tasks {
			truth := pagemapOf(t, n, p)
			if truth == nil || ran(t, n, p) {
				continue
			}
			mm, err := p.MM()
			if errors.Is(err, linux.ErrNone) {
				continue
			}
			if err != nil {
				n.Lost(t, err)
				continue
			}
			for v, err := range mm.VMAs(t.Context()) {
				if err != nil {
					n.Lost(t, err)
					continue
				}
				got := map[vmem.VirtAddr]*PageState{}
				for s, err := range n.r.PageStates(t.Context(), mm, &v) {
					if err != nil {
						n.Lost(t, err)
						continue
					}
					for at := range s.Range.Size / vmem.PageSize {
						got[s.Range.Start+vmem.VirtAddr(at*vmem.PageSize)] = &s
					}
				}
				if v.Flags&vmPFNMap != 0 {
					continue // pagemap shows nothing of it (walk_page_test of mm/pagewalk.c)
				}
				tracks := v.Flags&vmSoftDirty == 0 // else all pages are shown as written
				for at := v.Range.Start; at <= v.Range.Last() && at >= v.Range.Start; at += vmem.PageSize {
					want := truth[at] & (pmSoftDirty | pmUffdWP | pmFile | pmSwap | pmPresent | pmFrame)
					if !tracks {
						want &^= pmSoftDirty
					}
					var have uint64
					s := got[at]
					if s != nil {
						have = pagemapEntry(s, at, tracks)
					}
					if _, err := n.K.Symbols().Constant("pageflags", "PG_anon_exclusive"); err != nil { // pagemap does not show it in 5.10
						have &^= pmUffdWP
					}
					if want&pmSwap != 0 && s != nil && s.Flags&(Marker|Special|Migrating) != 0 {
						want &^= pmFrame | pmFile // what these have there is the kernel's own
					}
					if want != 0 || have != 0 {
						pages++
					}
					switch {
					case want == have:
					case have == 0 && want&pmFile != 0: // it was taken away
						gone++
					case (want|have&pmSoftDirty)&^pmFrame == have&^pmFrame && have&pmPresent != 0 && movedPage(t, n, &v, at, want&pmFrame, have&pmFrame):
						moved++
					default: // a dirty page that was moved is softly dirty, too (pte_mkdirty)
						n.Lost(t, fmt.Errorf("%v: page %v of %s: %#x, by pagemap %#x (%+v)", p, at, v.Path, have, want, s))
					}
				}
			}
		}
		t.Logf("%d pages; %d of files taken away meanwhile, %d moved to other frames", pages, gone, moved)
		if pages == 0 {
			t.Skip("the truth has none")
		}
	})
}

// kinds are what pages of the lab's cases are: of those of a kind, some have all of these flags.
var kinds = map[string]PageFlags{
	"anonymous": Present | Anonymous | Writable, "zero-page-two-of-four": Present | Zero, "guard": Marker | Guard, "huge": Present | Huge | Anonymous,
	"hugetlb-private": Present | Hugetlb | Anonymous, "hugetlb-shared-one-of-two": Present | Hugetlb, "mergeable": Present | KSM | Anonymous, "file-dirty": Present | File,
	"shared-after-fork": Present | Anonymous | CopyOnWrite, "copied-by-child": Present | Anonymous | Writable, "shared-anonymous": Present | Shmem,
	"memfd-three-of-six": Present | Shmem, "memfd-private": Present, "large-folios": Present | Anonymous, "secret": Present, "poisoned": Special,
}

// TestToldPages: pages are what the lab's cases made them, and have the bytes that they wrote.
func TestToldPages(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		text, ok := n.Read(t, "task", "told", "pages")
		if !ok {
			t.Skip("nothing was told")
		}
		states, contents := 0, 0
		for line := range strings.Lines(text) {
			w := strings.Fields(line) // PID, address, length, kind, SHA-256
			start, _ := strconv.ParseUint(w[1], 16, 64)
			size, _ := strconv.ParseUint(w[2], 10, 64)
			i := slices.IndexFunc(n.Tasks, func(p *linux.Task) bool { return fmt.Sprint(p.PID) == w[0] })
			if i < 0 {
				t.Errorf("no process %s", w[0])
				continue
			}
			mm, err := n.Tasks[i].MM()
			if err != nil {
				t.Error(err)
				continue
			}
			within := vmem.Range[vmem.VirtAddr]{Start: vmem.VirtAddr(start), Size: size}
			if missing, _ := n.Read(t, "task.err"); w[3] == "poisoned" && strings.Contains(missing, "MADV_HWPOISON") {
				continue // this kernel can't
			}
			want, has, all, swapped := kinds[w[3]], false, []string{}, strings.HasPrefix(w[3], "swap-") && !strings.HasSuffix(w[3], "-shared")
			if swapped {
				want = Swapped
			}
			for v, err := range mm.VMAs(t.Context()) {
				if err != nil {
					continue
				}
				v.Range = clip(v.Range, within)
				if v.Range.Size == 0 {
					continue
				}
				for s, err := range n.r.PageStates(t.Context(), mm, &v) {
					if err != nil {
						t.Error(err)
					}
					has = has || s.Flags&want == want
					all = append(all, s.Flags.String())
				}
			}
			if want != 0 {
				states++
				if !has {
					t.Logf("%v: %s at %s are %q", n.Tasks[i], w[3], w[1], all)
				}
				if !has && !swapped && want&KSM == 0 { // whether a page is swapped or merged is the kernel's affair
					t.Errorf("%v: no page of %s at %s is %v", n.Tasks[i], w[3], w[1], want)
				}
			}
			data := make([]byte, size)
			if _, err := n.r.ReadVirt(mm, data, within.Start); err != nil || w[4] == "-" {
				if swapped && !strings.HasSuffix(w[3], "-file") && !errors.Is(err, kstruct.ErrUnsupported) {
					t.Errorf("%v: %s at %s: %v", n.Tasks[i], w[3], w[1], err)
				}
				continue
			}
			contents++
			if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != w[4] {
				t.Errorf("%v: %s at %s: bytes differ", n.Tasks[i], w[3], w[1])
			}
		}
		t.Logf("%d states, %d contents", states, contents)
	})
}
