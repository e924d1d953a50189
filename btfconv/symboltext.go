package btfconv

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

const maxLine = 64 << 10 // of bytes; names of symbols have at most 512

// parseSymbols reads System.map or /proc/kallsyms: in each line an address, a
// letter and a name, which the name of a module may follow.
func parseSymbols(r io.Reader) ([]kernelSymbol, error) {
	var symbols []kernelSymbol
	hidden := true
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) == 0 || len(fields) == 4 && fields[3][0] == '[' {
			continue
		}
		if len(fields) != 3 || len(fields[1]) != 1 {
			return nil, fmt.Errorf("symbols, line %d: %.80q: %w", n, lines.Bytes(), ErrDamaged)
		}
		addr, err := strconv.ParseUint(string(fields[0]), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("symbols, line %d: %w: %w", n, err, ErrDamaged)
		}
		hidden = hidden && addr == 0
		symbols = append(symbols, kernelSymbol{name: string(fields[2]), addr: addr, kind: fields[1][0]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("symbols: %w", err)
	}
	if hidden {
		return nil, fmt.Errorf("symbols: all addresses are 0, as /proc/kallsyms has them for users other than root: %w", ErrNotFound)
	}
	return symbols, nil
}
