package btfconv

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A tokenTable holds what each byte of a compressed name stands for:
// kallsyms_token_table and kallsyms_token_index.
type tokenTable struct {
	text       [256]string
	start, end int // the index in the window of both tables, and after them
}

// parse reads the token table at an index of the window, and the token index
// after it: 256 numbers, each of which must be where a token starts.
func (t *tokenTable) parse(window []byte, at, alignment int) error {
	p := at
	t.start = at
	var starts [256]int
	for i := range t.text {
		n := -1
		if p < len(window) {
			n = bytes.IndexByte(window[p:min(len(window), p+maxToken)], 0)
		}
		if n < 0 {
			return fmt.Errorf("kallsyms_token_table: token %d does not end: %w", i, ErrDamaged)
		}
		starts[i] = p - at
		t.text[i] = string(window[p : p+n])
		p += n + 1
	}
	index := align(p, alignment)
	if index+512 > len(window) {
		return fmt.Errorf("kallsyms_token_index: passes the end of the image: %w", ErrDamaged)
	}
	for i, start := range starts {
		if int(binary.LittleEndian.Uint16(window[index+2*i:])) != start {
			return fmt.Errorf("kallsyms_token_index: token %d is not at %#x: %w", i, start, ErrDamaged)
		}
	}
	t.end = index + 512
	return nil
}

// maxToken is longer than a token can be (KSYM_NAME_LEN).
const maxToken = 512
