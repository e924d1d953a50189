package zstddec

import (
	"errors"
	"slices"
)

// slack is how many bytes behind its end a copy may overwrite.
const slack = 32

// A history is the end of a frame's content, and room for the next block.
type history struct {
	buf    []byte // content up to pos, then room
	pos    int
	old    []byte // content before that of buf; may be the end of buf itself, where it is not overwritten yet
	window int    // bytes that a match may reach back
	block  int    // bytes of a block's content, at most
}

// reset begins a frame.
func (h *history) reset(window, block int) {
	*h = history{buf: h.buf, window: window, block: block}
}

// makeRoom makes room for a block: it grows buf until it holds a window and a block,
// from then on it begins anew at the beginning of buf.
func (h *history) makeRoom() {
	need := h.pos + h.block + slack
	enough := h.window + h.block + 2*slack
	switch {
	case need <= len(h.buf):
	case len(h.buf) < enough:
		grown := make([]byte, max(need, min(enough, 4*len(h.buf))))
		copy(grown, h.buf[:h.pos])
		h.buf = grown
	default:
		h.old, h.pos = h.buf[:h.pos], 0
	}
}

// tail returns a copy of the last n bytes, which is not more than the window.
func (h *history) tail(n int) []byte {
	if n <= h.pos {
		return slices.Clone(h.buf[h.pos-n : h.pos])
	}
	return slices.Concat(h.old[len(h.old)-(n-h.pos):], h.buf[:h.pos])
}

func (h *history) add(p []byte) {
	h.pos += copy(h.buf[h.pos:], p)
}

func (h *history) fill(c byte, n int) {
	p := h.buf[h.pos : h.pos+n]
	if h.pos += n; n == 0 {
		return
	}
	for p[0], n = c, 1; n < len(p); n *= 2 { // as fast as memory is copied
		copy(p[n:], p[:n])
	}
}

// A sequence is an instruction: copy that many literals, then as many bytes of a match
// from offset bytes back.
type sequence struct {
	literals, match, offset uint32
}

// What is wrong with sequences.
var (
	errLiterals = errors.New("sequences take more literals than there are")
	errContent  = errors.New("sequences make more content than a block can have")
	errOffset   = errors.New("match reaches back beyond the window or the frame's beginning")
)

// execute adds what seqs make of lits, at most limit bytes. There is room behind the
// end of lits.
func (h *history) execute(seqs []sequence, lits []byte, limit int) error {
	buf, w := h.buf, h.pos
	window := uint32(h.window)
	end := w + limit
	taken := 0
	wide := lits[:cap(lits)]
	for _, s := range seqs {
		ll, ml, off := int(s.literals), int(s.match), int(s.offset)
		if taken+ll > len(lits) {
			return errLiterals
		}
		if w+ll+ml > end {
			return errContent
		}
		if ll <= 32 {
			*(*[32]byte)(buf[w:]) = *(*[32]byte)(wide[taken:])
		} else {
			copy(buf[w:w+ll], wide[taken:taken+ll])
		}
		w += ll
		taken += ll
		if s.offset > window {
			return errOffset
		}
		switch from := w - off; {
		case from < 0:
			if !h.copyOld(w, off, ml) {
				return errOffset
			}
		case off >= 16 && ml <= 32:
			to, src := (*[32]byte)(buf[w:]), (*[32]byte)(buf[from:])
			*(*[16]byte)(to[:16]) = *(*[16]byte)(src[:16])
			*(*[16]byte)(to[16:]) = *(*[16]byte)(src[16:])
		default:
			repeat(buf, w, off, ml)
		}
		w += ml
	}
	rest := lits[taken:]
	if w+len(rest) > end {
		return errContent
	}
	h.pos = w + copy(buf[w:], rest)
	return nil
}

// copyOld copies the n bytes from off bytes before buf[w], which are before buf[0], to
// buf[w]. It reports false if there is nothing so far back.
func (h *history) copyOld(w, off, n int) bool {
	back := off - w
	if back > len(h.old) {
		return false
	}
	from := len(h.old) - back
	k := copy(h.buf[w:w+n], h.old[from:])
	if k < n {
		repeat(h.buf, w+k, off, n-k)
	}
	return true
}

// repeat copies the n bytes from off bytes before buf[w] to buf[w]. Where they overlap,
// the first off bytes are repeated.
func repeat(buf []byte, w, off, n int) {
	from := w - off
	if off >= n {
		copy(buf[w:w+n], buf[from:from+n])
		return
	}
	p := buf[from : w+n]
	for done := off; done < len(p); done *= 2 {
		copy(p[done:], p[:done])
	}
}
