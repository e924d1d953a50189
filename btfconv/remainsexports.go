package btfconv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// Where the export tables are not whole, each entry stands for itself: its name is a whole string, or the
// end of one that another entry has, as the linker merges them; and it is in order
// between those of its neighbours.

const (
	exportsBefore = 256 << 10 // how far before the first sound entries the table may start
	exportsWindow = 4 << 20   // the tables and their strings
	exportsBreak  = 3 * 4096 / ksymSize
	stringsReach  = 1 << 20 // more than all names have together, in bytes
)

// An exportEntry is an entry of the export tables that may be one.
type exportEntry struct {
	at    int // in the window
	name  string
	whole bool // whether the name is a whole string
	right bool
}

// A damagedExports is the export tables in a window of memory that is read with zeros for what was
// not captured.
type damagedExports struct {
	window  []byte
	phys    vmem.PhysAddr
	entries []exportEntry
}

// findDamagedExports finds the export tables in a part of memory and returns the symbols that are sound, with
// physical addresses, and what is lost.
func findDamagedExports(mem vmem.Memory, within vmem.Range[vmem.PhysAddr]) (symbols []kernelSymbol, table Table, lost []error) {
	const step = 4 << 20
	ranges := mem.Ranges()
	b := make([]byte, 2*step)
	for off := uint64(0); off < within.Size; off += step {
		start := (within.Start + vmem.PhysAddr(off)) &^ 7
		if !anyIn(ranges, vmem.Range[vmem.PhysAddr]{Start: start, Size: 2 * step}) {
			continue
		}
		readHolesInto(mem, start, b)
		till := step // the next window begins there
		if off+step >= within.Size {
			till = len(b)
		}
		at, ok := searchDamagedExports(b, till)
		if !ok {
			continue
		}
		start += vmem.PhysAddr(at)
		before := min(exportsBefore, uint64(start))
		x := damagedExports{phys: start - vmem.PhysAddr(before)}
		x.window, _ = readHoles(mem, x.phys, exportsWindow)
		x.read(int(before))
		x.check()
		x.checkPages()
		if !x.trim() {
			continue
		}
		table = Table{Addr: x.phys + vmem.PhysAddr(x.entries[0].at), Size: uint64(len(x.entries) * ksymSize), FoundBy: "the shape of its entries"}
		symbols = x.symbols(uint64(x.phys))
		table.Count = len(symbols)
		return symbols, table, x.losses(mem)
	}
	return nil, Table{}, nil
}

// anyIn reports whether one of the ranges, which are sorted, has a part in r.
func anyIn(ranges []vmem.Range[vmem.PhysAddr], r vmem.Range[vmem.PhysAddr]) bool {
	i, _ := vmem.SearchRanges(ranges, r.Start)
	return i < len(ranges) && ranges[i].Start <= r.Last()
}

// noPage is a page of zeros, as of what was not captured.
var noPage [vmem.PageSize]byte

// searchDamagedExports finds a place before till where most of minExports entries in a row can be
// those of exported symbols.
func searchDamagedExports(window []byte, till int) (int, bool) {
	for at := 0; at < till && at+ksymSize*minExports <= len(window); at += 4 {
		if at%vmem.PageSize == 0 && bytes.Equal(window[at:min(at+vmem.PageSize, len(window))], noPage[:min(vmem.PageSize, len(window)-at)]) {
			at += vmem.PageSize - 4 // none of its words is of an entry
			continue
		}
		if !looksExported(window, at) {
			continue
		}
		good, last := 0, ""
		for i := range minExports {
			name, ok := exportName(window, at+i*ksymSize)
			if ok && name > last {
				good++
				last = name
			}
		}
		if good > minExports/2 {
			return at, true
		}
	}
	return 0, false
}

// read reads the entries around one, as far as there are some every few pages.
func (x *damagedExports) read(at int) {
	first, last := at, at
	for i := at; i >= 0 && first-i < exportsBreak*ksymSize; i -= ksymSize {
		if x.entry(i).name != "" {
			first = i
		}
	}
	for i := at; i+ksymSize <= len(x.window) && i-last < exportsBreak*ksymSize; i += ksymSize {
		if x.entry(i).name != "" {
			last = i
		}
	}
	for i := first; i <= last; i += ksymSize {
		x.entries = append(x.entries, x.entry(i))
	}
}

// entry returns the entry at an index, without a name if it is none.
func (x *damagedExports) entry(at int) exportEntry {
	e := exportEntry{at: at}
	name, space := target(x.window, at+4), target(x.window, at+8)
	if space <= at || space >= len(x.window) || space-at > exportsWindow {
		return e
	}
	if text, ok := exportName(x.window, at); ok {
		e.name, e.whole = text, x.window[name-1] == 0
	}
	return e
}

// check decides which entries are right.
func (x *damagedExports) check() {
	var named []int
	for i := range x.entries {
		if x.entries[i].name != "" {
			named = append(named, i)
		}
	}
	for from := 0; from < len(named); {
		to := x.tableEnd(named, from)
		x.checkOrder(named[from:to])
		from = to
	}
	whole := map[int]bool{}
	for _, e := range x.entries {
		if e.right && e.whole {
			whole[target(x.window, e.at+4)] = true
		}
	}
	for i := range x.entries {
		if e := &x.entries[i]; e.right && !e.whole {
			at := target(x.window, e.at+4)
			e.right = whole[bytes.LastIndexByte(x.window[max(at-ksymNameLen, 0):at], 0)+1+max(at-ksymNameLen, 0)]
		}
	}
}

// trim leaves the entries out that are before and after those of which most are right. It reports whether there
// are any.
func (x *damagedExports) trim() bool {
	dense := func(from, to int) bool {
		n := 0
		for _, e := range x.entries[max(from, 0):min(to, len(x.entries))] {
			if e.right {
				n++
			}
		}
		return n >= minExports/2
	}
	first, last := -1, -1
	for i := range x.entries {
		if x.entries[i].right && (first < 0 && dense(i, i+minExports) || first >= 0 && dense(i+1-minExports, i+1)) {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return false
	}
	x.entries = x.entries[first : last+1]
	return true
}

// checkPages drops the entries of which a byte, or one of the name, is on a page of which much is wrong: they may
// be right but for that byte.
func (x *damagedExports) checkPages() {
	counts := map[int]*pageCount{}
	low, high := x.stringPages()
	each := func(e *exportEntry, visit func(page int)) {
		visit(x.page(e.at))
		visit(x.page(e.at + ksymSize - 1))
		if at := target(x.window, e.at+4); at >= low && at < high {
			visit(x.page(at))
			visit(x.page(at + len(e.name))) // and the NUL
		}
	}
	for i := range x.entries {
		e := &x.entries[i]
		each(e, func(page int) {
			if counts[page] == nil {
				counts[page] = &pageCount{}
			}
			counts[page].add(e.right)
		})
	}
	for i := range x.entries {
		each(&x.entries[i], func(page int) {
			if counts[page].bad() {
				x.entries[i].right = false
			}
		})
	}
}

// tableEnd returns where a table ends, of which named[from] is the first entry: where the names
// begin anew. The middle one of five stands for those before and after.
func (x *damagedExports) tableEnd(named []int, from int) int {
	const few = 5
	for i := from + few; i+few <= len(named); i++ {
		if x.middle(named[i-few:i]) > x.middle(named[i:i+few]) && x.entries[named[i-1]].name > x.entries[named[i]].name {
			return i
		}
	}
	return len(named)
}

func (x *damagedExports) middle(named []int) string {
	var names [5]string
	for i, k := range named {
		names[i] = x.entries[k].name
	}
	slices.Sort(names[:])
	return names[len(names)/2]
}

// checkOrder decides which entries of one table are in order: as two before and two after say, of which
// one may be wrong.
func (x *damagedExports) checkOrder(named []int) {
	for i, k := range named {
		agree, asked := 0, 0
		for _, n := range []int{i - 2, i - 1, i + 1, i + 2} {
			if n < 0 || n >= len(named) {
				continue
			}
			asked++
			if c := strings.Compare(x.entries[named[n]].name, x.entries[k].name); c < 0 && n < i || c > 0 && n > i {
				agree++
			}
		}
		x.entries[k].right = asked >= 2 && agree >= asked-1
	}
}

// symbols returns those of the entries that are right, with addr for the address of the window.
func (x *damagedExports) symbols(addr uint64) []kernelSymbol {
	var symbols []kernelSymbol
	for _, e := range x.entries {
		if e.right {
			value := addr + uint64(e.at) + uint64(int64(int32(binary.LittleEndian.Uint32(x.window[e.at:]))))
			symbols = append(symbols, kernelSymbol{name: e.name, addr: value, kind: 'R'})
		}
	}
	return symbols
}

// losses returns what is lost, by the page that it is on: the entry or its name.
func (x *damagedExports) losses(mem vmem.Memory) []error {
	low, high := x.stringPages()
	entries, names := map[int]int{}, map[int]int{}
	for _, e := range x.entries {
		if e.right {
			continue
		}
		if at := target(x.window, e.at+4); at >= low && at < high {
			names[x.page(at)]++
		} else {
			entries[x.page(e.at)]++
		}
	}
	return append(x.gaps(mem, "__ksymtab", entries), x.gaps(mem, "__ksymtab_strings", names)...)
}

// stringPages returns where the names are, in the window: some pages from the first to the last.
func (x *damagedExports) stringPages() (low, high int) {
	low = len(x.window)
	for _, e := range x.entries {
		if e.right {
			low, high = min(low, target(x.window, e.at+4)), max(high, target(x.window, e.at+4))
		}
	}
	return low - 2*vmem.PageSize, high + 2*vmem.PageSize
}

// page returns the number of the page of physical memory that has a byte of the window.
func (x *damagedExports) page(at int) int { return int((uint64(x.phys) + uint64(at)) / vmem.PageSize) }

// gaps returns a loss for each run of pages.
func (x *damagedExports) gaps(mem vmem.Memory, table string, pages map[int]int) []error {
	var gaps []error
	all := slices.Sorted(maps.Keys(pages))
	for i := 0; i < len(all); {
		k, count := i, 0
		for ; k < len(all) && all[k]-all[i] == k-i; k++ {
			count += pages[all[k]]
		}
		within := vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(all[i]) * vmem.PageSize, Size: uint64(k-i) * vmem.PageSize}
		gaps = append(gaps, tableGap(mem, table, within, fmt.Sprintf("%d exported symbols", count)))
		i = k
	}
	return gaps
}

// tableGap returns the loss of a part of a table.
func tableGap(mem vmem.Memory, table string, within vmem.Range[vmem.PhysAddr], what string) error {
	why := ErrDamaged
	if _, holes := readHoles(mem, within.Start, int(within.Size)); len(holes) > 0 {
		why = vmem.ErrNotCaptured
	}
	return vmem.Gap{Object: table, Place: vmem.PhysicalPlace(within, 0), Err: fmt.Errorf("%s: %w", what, why)}
}
