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

var errSystemMap = errors.New("not a System.map")

// maxSystemMap bounds the bytes read of a System.map; a kernel's has some ten
// million.
const maxSystemMap = 1 << 28

// readSystemMap reads a System.map: lines of an address in hexadecimal, a letter
// that says what is there, as nm(1) explains it, and a name. Lines of modules
// (/proc/kallsyms has such) have a fourth word, the module, and are left out.
func readSystemMap(r io.Reader) ([]symbol, error) {
	var syms []symbol
	sc := bufio.NewScanner(io.LimitReader(r, maxSystemMap))
	for n := 1; sc.Scan(); n++ {
		words := strings.Fields(sc.Text())
		if len(words) == 0 || len(words) == 4 && strings.HasPrefix(words[3], "[") {
			continue
		}
		if len(words) != 3 || len(words[1]) != 1 {
			return nil, fmt.Errorf("line %d: %w", n, errSystemMap)
		}
		addr, err := strconv.ParseUint(words[0], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, errSystemMap)
		}
		s := symbol{name: words[2], value: addr, key: addr}
		s.typ, s.bind = letter(words[1][0])
		syms = append(syms, s)
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(syms) == 0 {
		return nil, fmt.Errorf("no symbols: %w", errSystemMap)
	}
	return syms, nil
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
	syms, err := readSystemMap(c.opts.SystemMap)
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
