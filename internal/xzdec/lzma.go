package xzdec

import "errors"

var (
	errPacked   = errors.New("LZMA: the packed bytes of a chunk end before its content")
	errRest     = errors.New("LZMA: a chunk does not end where its content does")
	errDistance = errors.New("LZMA: a match begins before the content or the dictionary")
	errFar      = errors.New("LZMA: a match begins more than 512 MiB back, which is not supported")
	errLength   = errors.New("LZMA: a match reaches over the end of its chunk")
	errHead     = errors.New("LZMA: malformed range coder")
)

// decode appends a chunk of n bytes, for which there is room, to the window. in begins
// with the chunk's packed bytes and goes on for lookahead bytes at least; packed is how
// many of them are the chunk's.
//
// The content before an error is appended. Where bytes are missing the error is
// errPacked.
func (l *lzma) decode(w *window, n int, in []byte, packed int) error {
	if packed < rangeHead {
		return errPacked
	}
	if in[0] != 0 {
		return errHead
	}
	r := rangeCoder{span: 1<<32 - 1, pos: rangeHead}
	for _, b := range in[1:rangeHead] {
		r.code = r.code<<8 | uint32(b)
	}
	r, err := l.symbols(w, n, in, packed, r)
	if err != nil {
		return err
	}
	if r = r.fresh(in); r.pos != packed || r.code != 0 {
		return errRest
	}
	return nil
}

// symbols decodes literals and matches until there are n bytes of content.
func (l *lzma) symbols(w *window, n int, in []byte, packed int, r rangeCoder) (rangeCoder, error) {
	buf := w.buf[:w.end+n]
	out, bias := w.end, w.bias()
	posMask, literalMask := 1<<l.pb-1, 1<<l.lp-1
	before, state := out, l.state
	var err error
	for out < len(buf) && r.pos <= packed {
		before = out
		posState := uint32((out+bias)&posMask) & (posStates - 1)
		var one bool
		if r, one = r.bit(in, &l.isMatch[(state<<4|posState)%(states*posStates)]); !one {
			var previous uint32
			if out > w.start {
				previous = uint32(buf[out-1])
			}
			context := uint32((out+bias)&literalMask)<<l.lc + previous>>(8-l.lc)
			probs := &l.literal[context%maxContexts]
			if state < firstMatched {
				r, buf[out] = r.literal(in, probs)
			} else {
				r, buf[out] = r.matchedLiteral(in, probs, buf[out-int(l.rep[0])-1])
			}
			state = uint32(afterLiteral[state%16])
			out++
			continue
		}
		var length int
		r, length, state = l.match(in, r, state, posState)
		if err = w.canRepeat(l.rep[0], length, out, len(buf)); err != nil {
			break
		}
		repeat(buf, out, int(l.rep[0])+1, length)
		out += length
	}
	if r.pos > packed {
		out, err = before, errPacked // the last symbol was made of other bytes
	}
	w.grow(out - w.end)
	l.state = state
	return r, err
}

// afterLiteral is the state that follows a literal.
var afterLiteral = [16]uint8{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}

// match decodes the length of a match, and its distance into l.rep[0].
func (l *lzma) match(in []byte, r rangeCoder, state, posState uint32) (rangeCoder, int, uint32) {
	matched := uint32(0) // 3 in states after a match
	if state >= firstMatched {
		matched = 3
	}
	var one bool
	var length uint32
	if r, one = r.bit(in, &l.isRep[state]); !one {
		r, length = l.matchLength.decode(in, r, posState)
		l.rep[1], l.rep[2], l.rep[3] = l.rep[0], l.rep[1], l.rep[2]
		r, l.rep[0] = l.distance(in, r, length)
		return r, int(length) + minMatch, 7 + matched
	}
	if r, one = r.bit(in, &l.isRep0[state]); !one {
		if r, one = r.bit(in, &l.isRep0Long[state<<4|posState]); !one {
			return r, 1, min(9+matched, states-1)
		}
	} else {
		r = l.older(in, r, state)
	}
	r, length = l.repLength.decode(in, r, posState)
	return r, int(length) + minMatch, 8 + matched
}

// older moves one of the last distances but the newest to the front.
func (l *lzma) older(in []byte, r rangeCoder, state uint32) rangeCoder {
	rep := &l.rep
	var one bool
	if r, one = r.bit(in, &l.isRep1[state]); !one {
		rep[0], rep[1] = rep[1], rep[0]
		return r
	}
	if r, one = r.bit(in, &l.isRep2[state]); !one {
		rep[0], rep[1], rep[2] = rep[2], rep[0], rep[1]
		return r
	}
	rep[0], rep[1], rep[2], rep[3] = rep[3], rep[0], rep[1], rep[2]
	return r
}

// decode decodes a length, less minMatch.
func (n *lengths) decode(in []byte, r rangeCoder, posState uint32) (rangeCoder, uint32) {
	var one bool
	var v uint32
	if r, one = r.bit(in, &n.choice); !one {
		return r.tree3(in, &n.low[posState])
	}
	if r, one = r.bit(in, &n.choice2); !one {
		r, v = r.tree3(in, &n.mid[posState])
		return r, 1<<3 + v
	}
	r, v = r.tree8(in, &n.high)
	return r, 2<<3 + v
}

// distance decodes the distance, less one, of a match by its length, less minMatch.
func (l *lzma) distance(in []byte, r rangeCoder, length uint32) (rangeCoder, uint32) {
	r, slot := r.tree6(in, &l.slot[min(length, lengthStates-1)])
	if slot < 4 {
		return r, slot
	}
	count := slot>>1 - 1
	dist := (2 | slot&1) << count
	var v uint32
	if slot < modelledSlots {
		r, v = r.reverse(in, l.special[dist-slot:], count)
		return r, dist + v
	}
	r, v = r.direct(in, count-alignBits)
	dist += v << alignBits
	r, v = r.reverse(in, l.align[:], alignBits)
	return r, dist + v
}

// repeat appends, at out, length bytes that repeat what is distance bytes before.
func repeat(buf []byte, out, distance, length int) {
	dst, from := buf[out:out+length], out-distance
	for n := copy(dst, buf[from:out]); n < length; {
		n += copy(dst[n:], buf[from:out+n])
	}
}
