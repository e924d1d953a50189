package isf

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// str scans a string, whose quote peek has seen. Its contents are good until the
// next scan.
func (s *scanner) str() []byte {
	n := 1 // bytes from pos on that were looked at
	for {
		n += plain(s.window[s.pos+n:])
		if s.pos+n == len(s.window) {
			if !s.fill() {
				s.pos = len(s.window)
				s.unexpected("the end of the string")
				return nil
			}
			continue
		}
		switch c := s.window[s.pos+n]; c {
		case '"':
			text := s.window[s.pos+1 : s.pos+n]
			s.pos += n + 1
			return text
		case '\\':
			return s.escaped(n)
		default:
			s.pos += n
			s.unexpected("a printable character")
			return nil
		}
	}
}

// text is str for a value that may be of another kind, which is skipped with a
// complaint about what.
func (s *scanner) text(what string) []byte {
	if s.peek() == '"' {
		return s.str()
	}
	s.mismatch(what, "a string")
	return nil
}

// Masks for eight bytes at a time.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plain returns how many bytes of b stand before the first quote, backslash or
// control character.
func plain(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote := x ^ '"'*ones
		slash := x ^ '\\'*ones
		// The borrow of a hit can make a false one, but only above it.
		hits := (x-' '*ones)&^x | (quote-ones)&^quote | (slash-ones)&^slash
		if hits &= highs; hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// escaped scans a string that has its first backslash n bytes after pos.
func (s *scanner) escaped(n int) []byte {
	s.scratch = append(s.scratch[:0], s.window[s.pos+1:s.pos+n]...)
	out := s.scratch
	s.pos += n
	for s.err == nil {
		if s.pos == len(s.window) && !s.fill() {
			s.unexpected("the end of the string")
			break
		}
		if len(out) > maxToken {
			s.syntax("token of more than %d bytes", maxToken)
			break
		}
		k := plain(s.window[s.pos:])
		out = append(out, s.window[s.pos:s.pos+k]...)
		s.pos += k
		if k > 0 || s.pos == len(s.window) {
			continue
		}
		switch s.window[s.pos] {
		case '"':
			s.pos++
			s.scratch = out
			return out
		case '\\':
			out = s.escape(out)
		default:
			s.unexpected("a printable character")
		}
	}
	return nil
}

// has reports whether there are n more bytes, which are in the window then.
func (s *scanner) has(n int) bool {
	for len(s.window)-s.pos < n {
		if !s.fill() {
			return false
		}
	}
	return true
}

// need is has for what must be there.
func (s *scanner) need(n int) bool {
	if s.has(n) {
		return true
	}
	s.pos = len(s.window)
	s.unexpected("an escape sequence")
	return false
}

// unescaped holds what one letter after a backslash stands for.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape appends to out what the escape sequence at pos stands for.
func (s *scanner) escape(out []byte) []byte {
	if !s.need(2) {
		return out
	}
	c := s.window[s.pos+1]
	if c == 'u' {
		return s.unicodeEscape(out)
	}
	if unescaped[c] == 0 {
		s.pos++
		s.unexpected("an escape sequence")
		return out
	}
	s.pos += 2
	return append(out, unescaped[c])
}

// unicodeEscape appends to out what the \u sequence at pos stands for, or the
// two of them that make a surrogate pair. A lone surrogate from U+DC80 to U+DCFF
// stands for a byte that is not UTF-8 (PEP 383), any other for U+FFFD.
func (s *scanner) unicodeEscape(out []byte) []byte {
	r, ok := s.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r)
	}
	if r >= 0xdc80 && r <= 0xdcff {
		return append(out, byte(r))
	}
	if r >= 0xdc00 || !s.has(2) || s.window[s.pos] != '\\' || s.window[s.pos+1] != 'u' {
		return utf8.AppendRune(out, utf8.RuneError)
	}
	low, ok := s.hex4()
	pair := utf16.DecodeRune(r, low)
	if ok && pair == utf8.RuneError {
		s.pos -= len(`\u0000`) // no pair: low stands for itself
	}
	return utf8.AppendRune(out, pair)
}

// hex4 scans \u and four hexadecimal digits.
func (s *scanner) hex4() (rune, bool) {
	if !s.need(6) {
		return 0, false
	}
	var r rune
	for i := 2; i < 6; i++ {
		d, ok := hexDigit(s.window[s.pos+i])
		if !ok {
			s.pos += i
			s.unexpected("a hexadecimal digit")
			return 0, false
		}
		r = r<<4 | d
	}
	s.pos += 6
	return r, true
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10, true
	}
	return 0, false
}
