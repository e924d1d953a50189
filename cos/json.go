package cos

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A jsonWriter appends JSON text.
type jsonWriter struct{ b []byte }

// key starts a member of an object.
func (w *jsonWriter) key(name string) {
	w.comma()
	w.string(name)
	w.b = append(w.b, ':')
}

// comma separates a value from the one before, if there is one.
func (w *jsonWriter) comma() {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' && w.b[n-1] != '[' && w.b[n-1] != ':' {
		w.b = append(w.b, ',')
	}
}

func (w *jsonWriter) raw(s string)    { w.b = append(w.b, s...) }
func (w *jsonWriter) integer(n int64) { w.b = strconv.AppendInt(w.b, n, 10) }
func (w *jsonWriter) boolean(v bool)  { w.b = strconv.AppendBool(w.b, v) }

func (w *jsonWriter) number(name string, n int64) {
	w.key(name)
	w.integer(n)
}

// nonzero leaves out a number that is not known.
func (w *jsonWriter) nonzero(name string, n int64) {
	if n != 0 {
		w.number(name, n)
	}
}

func (w *jsonWriter) stringKey(name, s string) {
	w.key(name)
	w.string(s)
}

// optional writes the empty string as null.
func (w *jsonWriter) optional(name, s string) {
	w.key(name)
	if s == "" {
		w.raw("null")
		return
	}
	w.string(s)
}

func (w *jsonWriter) time(name string, t time.Time) {
	w.key(name)
	if t.IsZero() {
		w.raw("null")
		return
	}
	w.string(t.UTC().Format("2006-01-02T15:04:05.000000000Z07:00"))
}

// inum writes the number of a namespace; there is none with the number 0.
func (w *jsonWriter) inum(name string, n uint32) {
	w.key(name)
	if n == 0 {
		w.raw("null")
		return
	}
	w.integer(int64(n))
}

// array writes a member that is an array of what each writes of its elements.
func array[T any](w *jsonWriter, name string, all []T, each func(T)) {
	w.key(name)
	w.b = append(w.b, '[')
	for _, v := range all {
		w.comma()
		each(v)
	}
	w.b = append(w.b, ']')
}

const hexDigits = "0123456789abcdef"

// string writes bytes as PEP 383 has them. Like Python it takes encoded surrogates
// for bytes that are not UTF-8.
func (w *jsonWriter) string(s string) {
	w.b = append(w.b, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch c := s[i]; {
		case r == utf8.RuneError && size == 1:
			w.b = append(w.b, '\\', 'u', 'd', 'c', hexDigits[c>>4], hexDigits[c&0xf])
		case c == '"' || c == '\\':
			w.b = append(w.b, '\\', c)
		case c < 0x20:
			w.b = append(w.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		default:
			w.b = append(w.b, s[i:i+size]...)
		}
		i += size
	}
	w.b = append(w.b, '"')
}
