package zstddec

// tables are what a block may inherit from those before it in the frame.
type tables struct {
	huffman huffman
	codes   [3]*codeTable // by kind; nil where there was none, may point into own
	own     [3]codeTable
	recent  [3]uint32 // offsets: RFC 8878, Repeat Offsets
}

// reset begins a frame.
func (t *tables) reset() {
	t.huffman.valid = false
	t.codes = [3]*codeTable{}
	t.recent = [3]uint32{1, 4, 8}
}

// set makes t a copy of from.
func (t *tables) set(from *tables) {
	*t = *from
	for kind := range t.codes {
		if t.codes[kind] == &from.own[kind] {
			t.codes[kind] = &t.own[kind]
		}
	}
}
