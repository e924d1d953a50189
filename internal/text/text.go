// Package text makes text of unknown origin safe to show: names and arguments out of an
// image, names out of symbol files, and errors that hold them.
//
// Who ran code on a node chose that text. On a terminal it must not move the cursor, must
// not be invisible, must not run backwards, and must not look like words of the tool that
// shows it. In JSON and HTML it must not end what it stands in. There is one rule for
// which characters are shown as they are, and each function here writes the others in the
// way of its place.
package text

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s for a terminal, a log or a table: what [shown] does not let pass,
// bytes that are not UTF-8 and backslashes are written as in Go's string literals. Different
// texts stay different. A text of several words may still read like words of the tool:
// see [Word].
func Printable(s string) string {
	if isPlain(s) {
		return s
	}
	return string(appendPrintable(make([]byte, 0, len(s)+16), s, ""))
}

// Line returns words of the tool that hold names, such as an error, for one line: as
// Printable does, but for backslashes, which are left alone, since names in errors are
// often quoted already.
func Line(s string) string { return strings.ReplaceAll(Printable(s), `\\`, `\`) }

// Word returns s as one word of a line: as Printable does, in double quotes if it is empty
// or holds what words of a tool are set apart by, such as spaces, quotes and brackets. So
// no name can pass for a remark about it, and it is seen where an argument ends.
func Word(s string) string {
	if s != "" && !strings.ContainsFunc(s, sets) {
		return Printable(s)
	}
	return Quoted(s)
}

// Quoted returns s in double quotes, with those in it escaped.
func Quoted(s string) string {
	b := append(make([]byte, 0, len(s)+16), '"')
	return string(append(appendPrintable(b, s, `"`+ellipsis), '"'))
}

// Words returns the words of all, with spaces between, as far as they fit into n
// characters; an ellipsis says that there is more. No word's own ellipsis is shown as one.
func Words(all []string, n int) string {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		if b.WriteString(Word(s)); b.Len() > n*utf8.UTFMax {
			break
		}
	}
	return Short(b.String(), n)
}

// Short returns a text that is printable already, cut to n characters, of which the last is
// then an ellipsis.
func Short(printable string, n int) string {
	characters := 0
	cut := len(printable)
	for i := range printable {
		if characters++; characters == n {
			cut = i
		}
	}
	if characters <= n {
		return printable
	}
	return printable[:cut] + ellipsis
}

// HTML returns s for the text or a quoted attribute of an HTML page, as Printable has it.
func HTML(s string) string { return html.EscapeString(Printable(s)) }

const ellipsis = "…"

// sets reports whether words of a tool are set apart by r.
func sets(r rune) bool {
	return strings.ContainsRune(` "'()[]{}<>`+"`"+ellipsis, r) || unicode.IsSpace(r)
}

// shown reports whether a character may be shown as it is. Those that may not: controls
// (C0, DEL, C1), all of format, such as those that change the direction of text or have no
// width, separators of lines and all spaces but the common one, characters that Unicode
// lets a display ignore, and one that is blank though it is a symbol.
func shown(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f
	}
	const brailleBlank = '\u2800'
	return unicode.IsPrint(r) && r != brailleBlank &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isPlain reports whether all of s is ASCII that is shown as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// maxMarks is how many marks a letter may carry: more would run into other lines.
const maxMarks = 4

// appendPrintable appends s as Printable has it, and escapes the characters in also too.
func appendPrintable(b []byte, s, also string) []byte {
	marks := maxMarks // after the last letter; none is before the text
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsMark(r):
			marks++
		case unicode.IsLetter(r):
			marks = 0
		default:
			marks = maxMarks
		}
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&0xf])
		case r == '\\' || r == '"' && strings.ContainsRune(also, r):
			b = append(b, '\\', byte(r))
		case !shown(r) || unicode.IsMark(r) && marks > maxMarks || strings.ContainsRune(also, r):
			b = appendEscape(b, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}

const hexDigits = "0123456789abcdef"

// short are the controls that have letters of their own in Go.
var short = map[rune]byte{'\a': 'a', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v'}

// appendEscape appends a character as a Go string literal may have it.
func appendEscape(b []byte, r rune) []byte {
	letter, ok := short[r]
	switch {
	case ok:
		return append(b, '\\', letter)
	case r < utf8.RuneSelf:
		return append(b, '\\', 'x', hexDigits[r>>4], hexDigits[r&0xf])
	case r > 0xffff:
		return appendHex(append(b, '\\', 'U'), uint32(r), 8)
	}
	return appendHex(append(b, '\\', 'u'), uint32(r), 4)
}

// appendHex appends so many hexadecimal digits of n.
func appendHex(b []byte, n uint32, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, hexDigits[n>>shift&0xf])
	}
	return b
}
