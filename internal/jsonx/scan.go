package jsonx

import (
	"bytes"
	"encoding/json"
	"iter"
)

// What follows takes JSON apart that is valid, as json.Valid has found.

// members yields the names and values of an object's members.
func members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for rest := skipSpace(object[1:]); rest[0] != '}'; {
			n := end(rest)
			name, _ := unquote(rest[:n])
			rest = skipSpace(skipSpace(rest[n:])[1:]) // the colon
			n = end(rest)
			if !yield(name, rest[:n]) {
				return
			}
			rest = next(rest[n:])
		}
	}
}

// elements yields the values of an array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := skipSpace(array[1:]); rest[0] != ']'; {
			n := end(rest)
			if !yield(rest[:n]) {
				return
			}
			rest = next(rest[n:])
		}
	}
}

// next skips what separates two values.
func next(rest []byte) []byte {
	if rest = skipSpace(rest); rest[0] == ',' {
		return skipSpace(rest[1:])
	}
	return rest
}

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// end returns the length of the value that b begins with.
func end(b []byte) int {
	switch b[0] {
	case '"':
		return endString(b)
	case '{', '[':
		return endNested(b)
	}
	if n := bytes.IndexAny(b, ",]} \t\r\n"); n >= 0 {
		return n
	}
	return len(b)
}

func endString(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}

// endNested returns the length of an object or an array.
func endNested(b []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			i += endString(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// unquote returns the text of a string.
func unquote(b []byte) (string, error) {
	if b[0] != '"' {
		return "", wrongKind(b, "a string")
	}
	if bytes.IndexByte(b, '\\') < 0 && isASCII(b) {
		return string(b[1 : len(b)-1]), nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	return s, err
}

func isASCII(b []byte) bool { return bytes.IndexFunc(b, func(r rune) bool { return r > '~' }) < 0 }

// kindOf says what a value is.
func kindOf(b []byte) string {
	switch b[0] {
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
