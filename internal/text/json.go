package text

import (
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSON appends s as a string of JSON that every parser takes: valid Unicode, where a
// byte that is not part of UTF-8 has become U+FFFD. It is safe on a terminal and inside of
// HTML: what [shown] does not let pass is escaped, and so are <, > and &, as by
// [encoding/json.Marshal].
func AppendJSON(b []byte, s string) []byte { return appendJSON(b, s, false) }

// AppendJSONBytes appends s as a string of JSON that holds all its bytes: one that is not
// part of UTF-8 is a lone surrogate, \udc80 to \udcff, as PEP 383 has it. Python takes it,
// and many other parsers don't. <, > and & are not escaped.
func AppendJSONBytes(b []byte, s string) []byte { return appendJSON(b, s, true) }

func appendJSON(b []byte, s string, bytes bool) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		n := plainJSON(s, bytes)
		b = append(b, s[:n]...)
		if s = s[n:]; s == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1 && bytes:
			b = append(b, '\\', 'u', 'd', 'c', hexDigits[s[0]>>4], hexDigits[s[0]&0xf])
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= utf8.RuneSelf && shown(r):
			b = utf8.AppendRune(b, r)
		default:
			b = appendUnicode(b, r)
		}
		s = s[size:]
	}
	return append(b, '"')
}

// plainJSON returns how many bytes of s are ASCII that needs no escape.
func plainJSON(s string, bytes bool) int {
	table := &plainInHTML
	if bytes {
		table = &plain
	}
	for i := range len(s) {
		if !table[s[i]] {
			return i
		}
	}
	return len(s)
}

// The bytes that stand for themselves in a string of JSON, and in one inside of HTML.
var plain, plainInHTML = plainTables()

func plainTables() (plain, inHTML [256]bool) {
	for c := ' '; c <= '~'; c++ {
		plain[c] = c != '"' && c != '\\'
		inHTML[c] = plain[c] && c != '<' && c != '>' && c != '&'
	}
	return plain, inHTML
}

// ascii returns how many bytes of text are ASCII and not DEL.
func ascii(text []byte) int {
	for i, c := range text {
		if c >= 0x7f {
			return i
		}
	}
	return len(text)
}

// appendUnicode appends a character as JSON escapes it, by its UTF-16.
func appendUnicode(b []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		b = appendHex(append(b, '\\', 'u'), uint32(high), 4)
		r = low
	}
	return appendHex(append(b, '\\', 'u'), uint32(r), 4)
}

// EscapeJSON returns JSON text with the characters escaped that [shown] does not let pass,
// for what others encoded. Outside of strings there are none but white space, which stays.
func EscapeJSON(text []byte) []byte {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if n := ascii(text[i:]); n > 0 {
			b = append(b, text[i:i+n]...)
			i += n
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r >= 0x7f && !shown(r) {
			b = appendUnicode(b, r)
		} else {
			b = append(b, text[i:i+size]...)
		}
		i += size
	}
	return b
}
