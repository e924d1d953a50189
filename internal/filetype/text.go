package filetype

import (
	"bytes"
	"regexp"
	"unicode/utf8"
)

// The marks of byte order that a text may begin with.
const (
	MarkUTF8    = "\xef\xbb\xbf"
	MarkUTF16LE = "\xff\xfe"
	MarkUTF16BE = "\xfe\xff"
)

// A known text is one that begins with a pattern.
type knownText struct {
	begins *regexp.Regexp
	is, do string
}

var texts = []knownText{
	{regexp.MustCompile(`^version https://git-lfs\.github\.com/`), "a pointer of Git LFS", "fetch what it stands for: git lfs pull"},
	{regexp.MustCompile(`(?i)^\s*(<!doctype html|<html)`), "a web page", "perhaps a server's answer was saved that was not the file"},
	{regexp.MustCompile(`^\s*<\?xml|^\s*<Error>`), "an XML text", "perhaps a server's answer was saved that was not the file"},
	{regexp.MustCompile(`^\{\s*"schema":\s*"nodelens/node`), "a report of Nodelens", "name the image that it is of"},
	{regexp.MustCompile(`^\{\s*"schema":\s*"nodelens/capture`), "the manifest of a capture", "name the image that lies beside it"},
	{regexp.MustCompile(`(?s)^\s*\{.*?"(base_types|user_types|enums|symbols|metadata)"`), "a JSON text, as ISF symbol files are", "symbols go with an image, and are none"},
	{regexp.MustCompile(`^\s*[\{\[]\s*["\{\[\]\}\d]`), "a JSON text", ""},
	{regexp.MustCompile(`^[0-9a-f]{16} [A-Za-z?] \S+\n`), "a list of symbols, such as System.map", "it holds no memory"},
	{regexp.MustCompile(`^#!`), "a script", ""},
}

// textSize is how much of a text is held against the patterns, in bytes.
const textSize = 4096

// text knows texts in ASCII, UTF-8 and UTF-16. All that is looked at must be text: the first
// page of a memory may be.
func text(head []byte) (Type, bool) {
	if bytes.HasPrefix(head, []byte(MarkUTF16LE)) || bytes.HasPrefix(head, []byte(MarkUTF16BE)) {
		if utf16(head) {
			return Type{Is: "a text in UTF-16"}, true
		}
		return Type{}, false
	}
	begin := bytes.TrimPrefix(head, []byte(MarkUTF8))
	if !isText(begin) {
		return Type{}, false
	}
	begin = begin[:min(len(begin), textSize)]
	for _, t := range texts {
		if t.begins.Match(begin) {
			return Type{t.is, t.do}, true
		}
	}
	return Type{Is: "a text"}, true
}

// isText reports whether all of b is UTF-8 that is shown as text. The last character may
// be cut.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f', r == 0x7f:
			return false
		}
		b = b[n:]
	}
	return true
}

// utf16 reports whether the text behind a mark of byte order has mostly letters of ASCII.
func utf16(head []byte) bool {
	head = head[2:min(len(head), textSize)]
	zeros := bytes.Count(head, []byte{0})
	return len(head) > 0 && zeros >= len(head)/4 && zeros <= len(head)/2+1
}
