package isf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const (
	windowSize = 256 << 10 // how much input is read at a time
	maxToken   = 16 << 20  // the longest string or number, in bytes
	maxDepth   = 256       // the deepest nesting of objects and arrays
	maxIdle    = 100       // reads in a row that give nothing
)

// A scanner takes JSON (RFC 8259) apart in one pass, with a window on the input
// that moves on and holds no more than one token behind it.
//
// Its first error stays in err, and ends all loops: from then on there is nothing
// more to scan. Where JSON has another kind of value than was asked for, that is no
// such error: the value is skipped, and the complaint stands in bad until the
// caller takes it.
type scanner struct {
	src     io.Reader
	window  []byte
	pos     int   // in window
	start   int64 // offset of window[0] in the input
	ended   bool  // src has no more
	depth   int
	path    []string // the keys of the entries that enclose pos
	scratch []byte   // for strings with escapes
	key     []byte   // for a key that does not stay in the window
	err     error
	bad     error
}

func newScanner(src io.Reader) scanner {
	return scanner{src: src, window: make([]byte, 0, windowSize)}
}

func (s *scanner) offset() int64 { return s.start + int64(s.pos) }

// fail ends the scan.
func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = &DecodeError{Path: joinPath(s.path), Offset: s.offset(), Err: err}
	}
}

func (s *scanner) syntax(format string, args ...any) {
	s.fail(fmt.Errorf("%w: "+format, append([]any{ErrSyntax}, args...)...))
}

// unexpected ends the scan at the character at pos, where want belongs.
func (s *scanner) unexpected(want string) {
	switch {
	case s.pos < len(s.window):
		s.syntax("unexpected %q, want %s", s.window[s.pos], want)
	default:
		s.fail(fmt.Errorf("%w: %w, want %s", ErrSyntax, io.ErrUnexpectedEOF, want))
	}
}

// complain notes that JSON has here what ISF has not. The first complaint counts.
func (s *scanner) complain(format string, args ...any) {
	if s.bad == nil && s.err == nil {
		s.bad = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
}

// joinPath makes one text of keys.
func joinPath(keys []string) string { return strings.Join(keys, ".") }

// fill reads on. It keeps the window from pos on, which it moves to the front, and
// reports whether there is anything new.
func (s *scanner) fill() bool {
	if s.err != nil || s.ended {
		return false
	}
	kept := len(s.window) - s.pos
	if kept > maxToken {
		s.syntax("token of more than %d bytes", maxToken)
		return false
	}
	s.start += int64(s.pos)
	copy(s.window[:kept], s.window[s.pos:])
	s.window, s.pos = s.window[:kept], 0
	if kept == cap(s.window) {
		s.window = append(make([]byte, 0, 2*kept), s.window...)
	}
	return s.read()
}

// read appends to the window.
func (s *scanner) read() bool {
	for range maxIdle {
		n, err := s.src.Read(s.window[len(s.window):cap(s.window)])
		s.window = s.window[:len(s.window)+n]
		switch {
		case err == io.EOF:
			s.ended = true
			return n > 0
		case err != nil:
			s.fail(err)
			return false
		case n > 0:
			return true
		}
	}
	s.fail(io.ErrNoProgress)
	return false
}

// peek returns the first byte of the next token, 0 at the end of the input and
// after an error.
func (s *scanner) peek() byte {
	if s.pos < len(s.window) && s.window[s.pos] > ' ' && s.err == nil {
		return s.window[s.pos]
	}
	return s.space()
}

const eightSpaces = 0x2020202020202020

// space skips white space and does what peek does.
func (s *scanner) space() byte {
	for s.err == nil {
		w, i := s.window, s.pos
		for i < len(w) {
			switch w[i] {
			case ' ', '\n', '\r', '\t':
				i++
				// Most of an indented file is this.
				for i+8 <= len(w) && binary.LittleEndian.Uint64(w[i:]) == eightSpaces {
					i += 8
				}
				continue
			}
			s.pos = i
			return w[i]
		}
		s.pos = i
		if !s.fill() {
			return 0
		}
	}
	return 0
}

// open enters the object or array that begins with c, which peek has seen, and
// reports whether there is anything in it.
func (s *scanner) open(c byte) bool {
	s.pos++
	s.depth++
	if s.depth > maxDepth {
		s.syntax("nested deeper than %d", maxDepth)
		return false
	}
	if s.peek() != closer(c) {
		return s.err == nil
	}
	s.pos++
	s.depth--
	return false
}

// more goes on to the next element of the object or array that began with c, or
// leaves it and returns false.
func (s *scanner) more(c byte) bool {
	switch s.peek() {
	case ',':
		s.pos++
		return true
	case closer(c):
		s.pos++
		s.depth--
		return false
	}
	s.unexpected("',' or " + string(rune(closer(c))))
	return false
}

// closer returns the bracket that closes c.
func closer(c byte) byte { return c + 2 }

// object enters an object and reports whether it has members. Anything else it
// skips with a complaint about what.
func (s *scanner) object(what string) bool {
	if s.peek() == '{' {
		return s.open('{')
	}
	s.mismatch(what, "an object")
	return false
}

// member scans a key and its colon. The key is good until the next call.
func (s *scanner) member() []byte {
	if s.peek() != '"' {
		s.unexpected("a key")
		return nil
	}
	k := s.str()
	if s.pos < len(s.window) && s.window[s.pos] == ':' && s.err == nil {
		s.pos++
		return k
	}
	s.key = append(s.key[:0], k...)
	if s.peek() != ':' {
		s.unexpected("':'")
		return nil
	}
	s.pos++
	return s.key
}

// mismatch complains that what is not a want, and skips the value.
func (s *scanner) mismatch(what, want string) {
	s.complain("%s is %s, want %s", what, kindOfValue(s.peek()), want)
	s.skip()
}

// kindOfValue says what kind of value begins with c.
func kindOfValue(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// skip scans a value of any kind and forgets it.
func (s *scanner) skip() {
	switch c := s.peek(); c {
	case '{':
		for ok := s.open(c); ok; ok = s.more(c) {
			s.member()
			s.skip()
		}
	case '[':
		for ok := s.open(c); ok; ok = s.more(c) {
			s.skip()
		}
	case '"':
		s.str()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// literal scans the given word, whose first letter peek has seen.
func (s *scanner) literal(word string) {
	if !s.has(len(word)) && strings.HasPrefix(word, string(s.window[s.pos:])) {
		s.pos = len(s.window) // the word is cut off
	}
	if !bytes.HasPrefix(s.window[s.pos:], []byte(word)) {
		s.unexpected(word)
		return
	}
	s.pos += len(word)
}

// boolean scans true or false; what names it in a complaint.
func (s *scanner) boolean(what string) bool {
	switch s.peek() {
	case 't':
		s.literal("true")
		return true
	case 'f':
		s.literal("false")
	default:
		s.mismatch(what, "true or false")
	}
	return false
}

// end checks that nothing follows the value.
func (s *scanner) end() {
	if s.peek(); s.pos < len(s.window) && s.err == nil {
		s.unexpected("nothing more")
	}
}
