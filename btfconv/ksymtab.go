package btfconv

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The tables of exported symbols, __ksymtab and, in most kernels, __ksymtab_gpl right
// after it: struct kernel_symbol of three numbers, each relative to its own
// address (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS), the symbol's value, name and name
// space. Each table is sorted by name. They are all that says where data is when
// kallsyms has functions only.

const (
	ksymSize    = 12
	minExports  = 64  // a run as short may be chance
	ksymNameLen = 512 // KSYM_NAME_LEN
)

// An exportTable is the symbols that the kernel exports to modules.
type exportTable struct {
	end     int // in the window
	symbols []kernelSymbol
}

// parseExports reads the tables that start at an index of the window, whose
// virtual address is addr, as far as they go. The two tables are read as one: the
// order may start over, if what follows is a table by itself.
func parseExports(window []byte, addr uint64, start int) exportTable {
	t := exportTable{end: start}
	runStart, last := 0, ""
	for at := start; ; at += ksymSize {
		name, ok := exportName(window, at)
		if !ok {
			break
		}
		if name <= last {
			if len(t.symbols)-runStart < minExports {
				break
			}
			runStart = len(t.symbols)
		}
		last = name
		value := addr + uint64(at) + uint64(int64(int32(binary.LittleEndian.Uint32(window[at:]))))
		t.symbols = append(t.symbols, kernelSymbol{name: name, addr: value, kind: 'R'})
		t.end = at + ksymSize
	}
	if n := len(t.symbols); n-runStart < minExports && runStart > 0 {
		t.symbols, t.end = t.symbols[:runStart], start+runStart*ksymSize
	}
	return t
}

// searchExports looks for the tables: the first place in the window where
// minExports entries in a row have names in order.
func searchExports(window []byte) (int, bool) {
	for at := 0; at+ksymSize*minExports <= len(window); at += 4 {
		if looksExported(window, at) && len(parseExports(window, 0, at).symbols) >= minExports {
			return at, true
		}
	}
	return 0, false
}

// check reports an error if the table was cut short: each string between the first
// and the last of the names must be the name or the name space of an entry. window
// is what the table, at its start, was read from.
func (t *exportTable) check(window []byte) error {
	used := make(map[int]bool, 2*len(t.symbols))
	first, last := len(window), 0
	for at := 0; at < t.end; at += ksymSize {
		name := target(window, at+4)
		used[name], used[target(window, at+8)] = true, true
		first, last = min(first, name), max(last, name)
	}
	for at := first; at < last; {
		n := bytes.IndexByte(window[at:last], 0)
		if n < 0 {
			break
		}
		if n > 0 && !used[at] {
			return fmt.Errorf("__ksymtab: %.80q is no symbol of the %d found: %w", window[at:at+n], len(t.symbols), ErrDamaged)
		}
		at += n + 1
	}
	return nil
}

// target returns the index in the window that a relative number at an index
// means.
func target(window []byte, at int) int {
	return at + int(int32(binary.LittleEndian.Uint32(window[at:])))
}

// looksExported tests three entries, with arithmetic only: names come after the
// tables, and near.
func looksExported(window []byte, at int) bool {
	const near = 16 << 20
	for i := at; i < at+3*ksymSize; i += ksymSize {
		name := binary.LittleEndian.Uint32(window[i+4:])
		space := binary.LittleEndian.Uint32(window[i+8:])
		if name-1 >= near || space-1 >= near || binary.LittleEndian.Uint32(window[i:]) == 0 {
			return false
		}
	}
	return true
}

// exportName returns the name of the entry at an index of the window.
func exportName(window []byte, at int) (string, bool) {
	if at+ksymSize > len(window) {
		return "", false
	}
	i := target(window, at+4)
	if i <= at || i >= len(window) {
		return "", false
	}
	n := bytes.IndexByte(window[i:min(len(window), i+ksymNameLen)], 0)
	if n <= 0 || !isIdentifier(window[i:i+n]) {
		return "", false
	}
	return string(window[i : i+n]), true
}

// isIdentifier reports whether b can be the name of a symbol in C or, mangled,
// in Rust.
func isIdentifier(b []byte) bool {
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '.', c == '$':
		case c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return true
}
