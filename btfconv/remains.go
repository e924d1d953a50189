package btfconv

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// The remains of kallsyms are read where its tables are not whole. Each table is taken page by
// page: what is on a page that was overwritten or not captured is lost, and what is on the
// others is used, if it fits what surrounds it.
//
//   - Names are decoded from mark to mark, as kallsyms_markers has one each 256 names. Between two,
//     there must be so many. Where there are not, those up to the page that makes
//     no sense are used, and those after it that all ways of reading agree on.
//   - A page of offsets is used if all on it ascend, between those of its neighbours.
//   - A page of names is used if kallsyms_seqs_of_names has its names in order, and
//     if it has the exported symbols that its addresses call for.
//
// What is neither sound nor confirmed is left out: a symbol that is missing is told, one that
// is wrong is not.

// spots says where the tables are in a window of memory, by index of their first byte; -1
// where it is not known, or there is no such table.
type spots struct {
	names, markers, tokens, index, seqs int
	num                                 int // of symbols
	offsetSpot
	tables []offsetSpot // where the addresses may be
}

// An offsetSpot is where kallsyms_offsets is and kallsyms_relative_base, -1 where there is none.
type offsetSpot struct{ offsets, base int }

// remains is what is left of kallsyms.
type remains struct {
	spots
	window []byte        // with zeros for what was not captured
	addr   uint64        // the virtual address of the window's first byte
	phys   vmem.PhysAddr // the physical one
	tokens256
	readable bool           // whether there are tokens enough
	symbols  []kernelSymbol // by number; those without a name or an address are lost
	starts   []int32        // where the name of each symbol is in the window, 0 where not known
	known    []bool         // whether the address is known
	text     int            // bytes of all names

	doubtful, confirmed []bool // names to be confirmed, and those that are

	mode  offsetMode
	first uint64 // what kallsyms_relative_base is, or should be
	lost  []tableLoss
}

// A tableLoss is a part of a table that can't be used.
type tableLoss struct {
	table    string
	from, to int // in the window
	what     string
	count    int // of what
}

// pageOf returns where the page starts that has a byte of the window. It may be before the
// window, and then negative.
func (r *remains) pageOf(at int) int {
	return at - int((uint64(r.phys)+uint64(at))%vmem.PageSize)
}

// lose notes a loss, as a part of one before if it follows that.
func (r *remains) lose(table string, from, to int, what string, count int) {
	if count <= 0 || from >= to {
		return
	}
	if i := len(r.lost) - 1; i >= 0 && r.lost[i].table == table && r.lost[i].to >= from-1 {
		r.lost[i].to = max(to, r.lost[i].to)
		r.lost[i].count += count
		return
	}
	r.lost = append(r.lost, tableLoss{table, from, to, what, count})
}

// gaps returns the losses as those of physical memory.
func (r *remains) gaps(mem vmem.Memory) []error {
	gaps := make([]error, 0, len(r.lost))
	for _, l := range r.lost {
		within := vmem.Range[vmem.PhysAddr]{Start: r.phys + vmem.PhysAddr(l.from), Size: uint64(l.to - l.from)}
		gaps = append(gaps, tableGap(mem, l.table, within, fmt.Sprintf("%d %s", l.count, l.what)))
	}
	return gaps
}

// decode decodes what is left. It reports whether the addresses are those of the running kernel; else
// they are as linked. text is that of _text, or 0.
func (r *remains) decode(text uint64) bool {
	r.decodeNames(r.findMarkers())
	if r.findOffsets(text) {
		return true
	}
	r.first = linkedText
	r.fillAddresses()
	return false
}

// check drops what nothing confirms.
func (r *remains) check(exports []kernelSymbol) {
	r.findOrder()
	r.checkNames(exports)
	r.dropDoubtful()
}

// result returns the symbols of which the name and the address are known. One that is not global is left out if the
// address of another of its name is lost, which might be the one to be had.
func (r *remains) result() []kernelSymbol {
	lost := map[string]bool{}
	for i := range r.symbols {
		if !r.known[i] {
			lost[r.symbols[i].name] = true
		}
	}
	all := make([]kernelSymbol, 0, len(r.symbols))
	for i := range r.symbols {
		if k := &r.symbols[i]; k.name != "" && r.known[i] && (k.global() || !lost[k.name]) {
			all = append(all, *k)
		}
	}
	return all
}

// word returns a number of a table of them.
func (r *remains) word(table, i int) uint32 {
	at := table + 4*i
	if at < 0 || at+4 > len(r.window) {
		return 0
	}
	return binary.LittleEndian.Uint32(r.window[at:])
}

// ascending returns which of the numbers are in the longest sequence that does not descend, as most
// are of a table of which some pages were overwritten. Those that use says no of are left out.
func ascending(n int, value func(int) uint64, use func(int) bool) []bool {
	tails := make([]int32, 0, n) // the last of the best sequence of each length
	before := make([]int32, n)
	for i := range n {
		if !use(i) {
			continue
		}
		v := value(i)
		k, _ := slices.BinarySearchFunc(tails, v, func(at int32, v uint64) int {
			if value(int(at)) <= v {
				return -1
			}
			return 1
		})
		before[i] = -1
		if k > 0 {
			before[i] = tails[k-1]
		}
		if k == len(tails) {
			tails = append(tails, int32(i))
		} else {
			tails[k] = int32(i)
		}
	}
	in := make([]bool, n)
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = before[i] {
			in[i] = true
		}
	}
	return in
}
