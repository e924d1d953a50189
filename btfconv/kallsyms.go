package btfconv

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem/x86"
)

// The tables that scripts/kallsyms.c writes into the kernel's read-only data,
// in the order of the file, by release:
//
//	5.10 to 6.3  offsets relative_base num_syms names markers [seqs] token_table token_index
//	6.4 and on   num_syms names markers token_table token_index offsets relative_base seqs
//	7.2 and 7.3  num_syms names markers token_table token_index offsets seqs
//
// seqs came with 6.2, and in stable updates of 6.1. Each table is aligned to 8
// bytes, in 7.2 to 4. Distributions move such changes between releases, so the
// order is read off the tables themselves.

const (
	startKernelMap = x86.StartKernelMap
	kernelImageMax = x86.KernelImageSize
	minSymbols     = 1024 // far fewer than any kernel with modules or networking has
	maxSymbols     = 1 << 22
	// maxNamesText is several times what the names of any kernel are, in bytes. Tokens can make
	// any number out of few.
	maxNamesText = 64 << 20
)

// A kernelSymbol is one entry of kallsyms, or a line of System.map.
type kernelSymbol struct {
	name string
	addr uint64
	kind byte // the letter that nm gives it; upper case is global
}

// A kallsymsTable is where the tables are in a window of memory, by index of
// their first byte.
type kallsymsTable struct {
	window []byte
	addr   uint64 // the address of the window's first byte
	num    int
	names  int
	ends   []uint32 // where each 256th name ends, and the last, from names on
	tokens tokenTable
	seqs   int // -1: none
	// of offsets:
	offsets int
	mode    offsetMode
	base    uint64
}

// locateKallsyms verifies that the tables are around names, which is the index of
// kallsyms_names in the window: that the names, the markers, the token table and
// its index fit together. addr is the virtual address of the window, to which the
// addresses of 7.2 are relative, and a multiple of 8.
func locateKallsyms(window []byte, addr uint64, names int) (*kallsymsTable, error) {
	t := &kallsymsTable{window: window, addr: addr, names: names, seqs: -1}
	if err := t.walkNames(); err != nil {
		return nil, err
	}
	return t, t.findTokens()
}

// decode returns all symbols, in order of their addresses, and their indexes in
// order of their names, nil where the kernel has no table of that. It verifies all
// that locateKallsyms did not.
func (t *kallsymsTable) decode() (symbols []kernelSymbol, byName []uint32, err error) {
	if symbols, err = t.decodeNames(); err != nil {
		return nil, nil, err
	}
	if err = t.decodeOffsets(symbols); err != nil {
		return nil, nil, err
	}
	byName, err = t.decodeOrder(symbols)
	return symbols, byName, err
}

// walkNames reads the number of symbols, which stands before the names, and
// steps over the names, each a length and that many bytes.
func (t *kallsymsTable) walkNames() error {
	if t.names < 8 || t.names > len(t.window) {
		return t.damaged("names", t.names, "outside of the image")
	}
	// The number is padded to 8 bytes, before 7.2.
	t.num = int(binary.LittleEndian.Uint32(t.window[t.names-4:]))
	if t.num == 0 {
		t.num = int(binary.LittleEndian.Uint32(t.window[t.names-8:]))
	}
	if t.num < minSymbols || t.num > maxSymbols {
		return t.damaged("num_syms", t.names-8, "%d symbols", t.num)
	}
	at := t.names
	for i := range t.num {
		n, size := t.nameLength(at)
		if n == 0 || at+size+n > len(t.window) {
			return t.damaged("names", at, "symbol %d of %d has %d bytes", i, t.num, n)
		}
		at += size + n
		if i&0xff == 0xff || i == t.num-1 {
			t.ends = append(t.ends, uint32(at-t.names))
		}
	}
	return nil
}

// nameLength returns the length of a compressed name, which is a ULEB128 number
// of one or (since 6.1) two bytes, and the size of the length.
func (t *kallsymsTable) nameLength(at int) (n, size int) {
	if at+2 > len(t.window) {
		return 0, 0
	}
	if c := t.window[at]; c < 0x80 {
		return int(c), 1
	}
	return int(t.window[at]&0x7f) | int(t.window[at+1]&0x7f)<<7, 2
}

// findTokens checks the markers, which follow the names, and finds the token
// table after them, or after the order of the names.
func (t *kallsymsTable) findTokens() error {
	end := t.names + int(t.ends[len(t.ends)-1])
	wrong := t.damaged("markers", end, "they don't agree with the names")
	for _, a := range []int{8, 4} {
		markers := align(end, a)
		if !t.markersAt(markers) {
			continue
		}
		next := align(markers+4*len(t.ends), a)
		if wrong = t.tokens.parse(t.window, next, a); wrong == nil {
			return nil
		}
		if err := t.tokens.parse(t.window, align(next+3*t.num, a), a); err == nil {
			t.seqs = next
			return nil
		}
	}
	return wrong
}

// markersAt reports whether the table of where each 256th name starts is at.
func (t *kallsymsTable) markersAt(at int) bool {
	if at+4*len(t.ends) > len(t.window) {
		return false
	}
	want := uint32(0)
	for i, end := range t.ends {
		if binary.LittleEndian.Uint32(t.window[at+4*i:]) != want {
			return false
		}
		want = end
	}
	return true
}

// decodeNames expands all names.
func (t *kallsymsTable) decodeNames() ([]kernelSymbol, error) {
	symbols := make([]kernelSymbol, t.num)
	var text strings.Builder
	text.Grow(t.num * 24)
	starts := make([]uint32, t.num+1)
	at := t.names
	for i := range symbols {
		n, size := t.nameLength(at)
		for _, c := range t.window[at+size : at+size+n] {
			text.WriteString(t.tokens.text[c])
		}
		at += size + n
		starts[i+1] = uint32(text.Len())
		if starts[i+1]-starts[i] > maxToken || text.Len() > maxNamesText {
			return nil, t.damaged("names", at, "symbol %d has a name of %d bytes, behind %d of others", i, starts[i+1]-starts[i], starts[i])
		}
	}
	all := text.String()
	for i := range symbols {
		s := all[starts[i]:starts[i+1]]
		if len(s) < 2 || !isSymbolKind(s[0]) {
			return nil, t.damaged("names", t.names, "symbol %d is %q", i, s)
		}
		symbols[i] = kernelSymbol{name: s[1:], kind: s[0]}
	}
	return symbols, nil
}

// isSymbolKind reports whether c is a letter that nm prints for a symbol.
func isSymbolKind(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '?' || c == '-'
}

// decodeOrder reads the table of the symbols in the order of their names, which
// doubles as a check of every name. Where a page of it was overwritten it returns nil: the
// order can be made again, and all names but those on the page are checked.
func (t *kallsymsTable) decodeOrder(symbols []kernelSymbol) ([]uint32, error) {
	if t.seqs < 0 {
		return nil, nil
	}
	if t.seqs+3*t.num > len(t.window) {
		return nil, t.damaged("seqs_of_names", t.seqs, "passes the end of the image")
	}
	order := make([]uint32, t.num)
	first, last, wrong := -1, -1, error(nil)
	before := ""
	for i := range order {
		b := t.window[t.seqs+3*i:]
		order[i] = uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
		err := t.outOfOrder(i, order[i], symbols, before)
		if err == nil && i > 0 && order[i] == order[i-1] {
			err = t.damaged("seqs_of_names", t.seqs+3*i, "symbol %d twice", order[i])
		}
		if order[i] < uint32(t.num) {
			before = symbols[order[i]].name
		}
		if err == nil {
			continue
		}
		if last = i; first < 0 {
			first, wrong = i, err
		}
	}
	if last-first > orderPage {
		return nil, wrong
	}
	if i, twice := t.twice(order, first, last); twice {
		return nil, t.damaged("seqs_of_names", t.seqs+3*i, "symbol %d", order[i])
	}
	if first >= 0 {
		return nil, nil
	}
	return order, nil
}

// twice returns an entry of the order that is there twice, outside of a page before last and
// one behind first, where these are.
func (t *kallsymsTable) twice(order []uint32, first, last int) (int, bool) {
	seen := make([]bool, t.num)
	for i, seq := range order {
		if first >= 0 && i > last-orderPage && i < first+orderPage {
			continue
		}
		if seen[seq] {
			return i, true
		}
		seen[seq] = true
	}
	return 0, false
}

// orderPage is how many entries of the order are on a page, or begin there.
const orderPage = 4096/3 + 2

// outOfOrder says what is wrong with an entry of the order, behind one of the name before.
func (t *kallsymsTable) outOfOrder(i int, seq uint32, symbols []kernelSymbol, before string) error {
	if seq >= uint32(t.num) {
		return t.damaged("seqs_of_names", t.seqs+3*i, "symbol %d", seq)
	}
	if name := symbols[seq].name; name < before && sortName(name) < sortName(before) {
		return t.damaged("seqs_of_names", t.seqs+3*i, "%q after %q", name, before)
	}
	return nil
}

// sortName returns what kernels built with link-time optimisation sort by: the
// name without what the compiler added to it.
func sortName(name string) string {
	s, _, _ := strings.Cut(name, ".")
	return s
}

func (t *kallsymsTable) damaged(table string, at int, format string, args ...any) error {
	return fmt.Errorf("kallsyms_%s at %#x: %s: %w", table, t.addr+uint64(at), fmt.Sprintf(format, args...), ErrDamaged)
}

func align(n, to int) int { return (n + to - 1) &^ (to - 1) }
