package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes text out of the image safe for a terminal, and keeps it readable:
// what doesn't print, bytes that aren't UTF-8 and backslashes are written as in Go.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x`)
			b.WriteString(strconv.FormatUint(uint64(s[i]), 16))
		case r == '\\':
			b.WriteString(`\\`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

// short is printable, cut after n characters; an ellipsis says so.
func short(s string, n int) string {
	text := []rune(printable(s))
	if len(text) <= n {
		return string(text)
	}
	return string(text[:n-1]) + "…"
}
