package dwarfconv

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

var (
	errSystemMap = errors.New("not a System.map")
	errNoSymbol  = errors.New("not a symbol")
)

// maxSystemMap bounds the bytes read of a System.map; a kernel's has some ten
// million.
const maxSystemMap = 1 << 28

// readSystemMap reads a System.map: lines of an address in hexadecimal, a letter
// that says what is there, as nm(1) explains it, and a name. Lines of modules
// (/proc/kallsyms has such) have a fourth word, the module, and are left out. Lines that are something
// else are told, and cost the symbol; where there are more of them than symbols it is no System.map.
func readSystemMap(r io.Reader, lost func(line int)) ([]symbol, error) {
	var syms []symbol
	var bad []int
	sc := bufio.NewScanner(io.LimitReader(r, maxSystemMap))
	for n := 1; sc.Scan(); n++ {
		words := strings.Fields(sc.Text())
		if len(words) == 0 || len(words) == 4 && strings.HasPrefix(words[3], "[") {
			continue
		}
		s, ok := mapLine(words)
		if ok {
			syms = append(syms, s)
		} else if bad = append(bad, n); len(bad) > len(syms) && len(bad) > maxBadLines {
			break
		}
	}
	if len(bad) > len(syms) {
		return nil, fmt.Errorf("line %d: %w", bad[0], errSystemMap)
	}
	for _, n := range bad {
		lost(n)
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(syms) == 0 {
		return nil, fmt.Errorf("no symbols: %w", errSystemMap)
	}
	return syms, nil
}

// maxBadLines is how many lines may come first that are no symbols.
const maxBadLines = 1000

// mapLine returns the symbol that a line of three words has.
func mapLine(words []string) (s symbol, ok bool) {
	if len(words) != 3 || len(words[1]) != 1 {
		return s, false
	}
	addr, err := strconv.ParseUint(words[0], 16, 64)
	if err != nil {
		return s, false
	}
	s = symbol{name: words[2], value: addr, key: addr}
	s.typ, s.bind = letter(words[1][0])
	return s, true
}

// letter returns what a letter of nm(1) means: capitals are visible outside
// their file, and so is all that is weak.
func letter(l byte) (elf.SymType, elf.SymBind) {
	bind := elf.STB_LOCAL
	if l >= 'A' && l <= 'Z' || l == 'w' || l == 'v' || l == 'u' {
		bind = elf.STB_GLOBAL
	}
	switch l {
	case 't', 'T', 'i':
		return elf.STT_FUNC, bind
	}
	return elf.STT_NOTYPE, bind
}

// override adds the symbols of the System.map to picked, and moves those to the
// addresses there that are elsewhere.
func (c *conversion) override(picked map[string]symbol) error {
	if c.opts.SystemMap == nil {
		return nil
	}
	syms, err := readSystemMap(c.opts.SystemMap, func(line int) {
		c.damage.loss(fmt.Sprintf("line %d of System.map", line), errNoSymbol)
	})
	if err != nil {
		return fmt.Errorf("file System.map: %w", err)
	}
	same := make(map[string]bool) // the names that the map has at the same address
	for _, s := range syms {
		if old, ok := picked[s.name]; ok && old.value == s.value {
			same[s.name] = true
		}
	}
	for name, s := range unique(syms) {
		if same[name] {
			continue
		}
		if old, ok := picked[name]; ok {
			// The type goes by the address that the debug information knows.
			s.key, s.typ, s.bind, s.size = old.key, old.typ, old.bind, old.size
		}
		picked[name] = s
	}
	return nil
}
