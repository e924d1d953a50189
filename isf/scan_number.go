package isf

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An integer is a number that has no fraction, of up to 64 bits and a sign.
type integer struct {
	negative  bool
	magnitude uint64
	err       error // why the number is none, nil if it is
}

// Why a number is no integer.
var (
	errNoInteger = errors.New("is no integer")
	errTooWide   = errors.New("does not fit in 64 bits")
)

// number scans a number. Any other byte at pos is an error.
func (s *scanner) number() integer {
	w := s.window[s.pos:]
	i, n := 0, uint64(0)
	for i < len(w) && isDigit(w[i]) && n < math.MaxUint64/10 {
		n = n*10 + uint64(w[i]-'0')
		i++
	}
	// What begins with 0, is cut off by the window's end, is large, or has more
	// to it than digits, goes the long way.
	if i < len(w) && !numeric[w[i]] && i > 0 && (w[0] != '0' || i == 1) {
		s.pos += i
		return integer{magnitude: n}
	}
	return s.longNumber()
}

func isDigit(c byte) bool { return c-'0' < 10 }

// numeric has the bytes that numbers are made of.
var numeric = func() (t [256]bool) {
	for _, c := range []byte("0123456789+-.eE") {
		t[c] = true
	}
	return t
}()

func (s *scanner) longNumber() integer {
	n := 0
	for {
		for s.pos+n < len(s.window) && numeric[s.window[s.pos+n]] {
			n++
		}
		if s.pos+n < len(s.window) || !s.fill() {
			break
		}
	}
	if n == 0 {
		s.unexpected("a value")
		return integer{}
	}
	d, ok := splitNumber(s.window[s.pos : s.pos+n])
	switch {
	case !ok && s.pos+n == len(s.window): // the number is cut off
		s.pos = len(s.window)
		s.unexpected("the end of a number")
		return integer{}
	case !ok:
		s.syntax("bad number %.40q", s.window[s.pos:s.pos+n])
		return integer{}
	}
	s.pos += n
	return d.integer()
}

// A decimal is a number as it is written.
type decimal struct {
	negative    bool
	whole, part []byte // the digits before and after the point
	exponent    int
}

// splitNumber parses a number by JSON's grammar.
func splitNumber(b []byte) (d decimal, ok bool) {
	b, d.negative = bytes.CutPrefix(b, []byte("-"))
	d.whole, b = leadingDigits(b)
	if len(d.whole) == 0 || d.whole[0] == '0' && len(d.whole) > 1 {
		return d, false
	}
	if len(b) > 0 && b[0] == '.' {
		if d.part, b = leadingDigits(b[1:]); len(d.part) == 0 {
			return d, false
		}
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		return d, d.setExponent(b[1:])
	}
	return d, len(b) == 0
}

func leadingDigits(b []byte) (digits, rest []byte) {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return b[:n], b[n:]
}

// maxExponent stands for all larger exponents too. No number within maxToken
// needs a larger one to become an integer of 64 bits.
const maxExponent = 2 * maxToken

func (d *decimal) setExponent(b []byte) bool {
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	digits, rest := leadingDigits(b)
	for _, c := range digits {
		d.exponent = min(d.exponent*10+int(c-'0'), maxExponent)
	}
	if negative {
		d.exponent = -d.exponent
	}
	return len(digits) > 0 && len(rest) == 0
}

// integer computes without rounding.
func (d *decimal) integer() integer {
	digits := slices.Concat(d.whole, d.part)
	significant := bytes.TrimRight(digits, "0")
	zeros := len(digits) - len(significant) - len(d.part) + d.exponent
	significant = bytes.TrimLeft(significant, "0")
	if len(significant) == 0 {
		return integer{}
	}
	if zeros < 0 {
		return integer{err: errNoInteger}
	}
	if len(significant)+zeros <= maxDigits {
		text := string(significant) + strings.Repeat("0", zeros)
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return integer{negative: d.negative, magnitude: n}
		}
	}
	return integer{err: errTooWide}
}

const maxDigits = 20 // of an integer of 64 bits
