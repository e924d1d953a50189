package table

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/internal/text"
)

// An Age is how long something is, in seconds. It is shown as kubectl shows ages.
type Age int64

// NewAge returns how long it is from one time to another; 0 if one of them is not known.
func NewAge(from, to time.Time) Age {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return Age(to.Sub(from) / time.Second)
}

// String returns the age in its two largest units, such as 3m16s.
func (a Age) String() string {
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	units := []struct {
		name string
		n    Age
	}{{"y", 365 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	for i, u := range units[:4] {
		if a >= u.n {
			rest := ""
			if n := a % u.n / units[i+1].n; n > 0 {
				rest = fmt.Sprint(int64(n)) + units[i+1].name
			}
			return fmt.Sprintf("%s%d%s%s", sign, a/u.n, u.name, rest)
		}
	}
	return fmt.Sprintf("%s%ds", sign, a)
}

const (
	dash     = "-"
	maxWords = 4000 // characters of a list of arguments
)

var (
	timeType = reflect.TypeFor[time.Time]()
	ageType  = reflect.TypeFor[Age]()
)

// isNumber reports whether values of a type stand on the right.
func isNumber(t reflect.Type) bool {
	if t.Implements(reflect.TypeFor[fmt.Stringer]()) && t != ageType || t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return false
	}
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
}

// isNone reports whether a value that says s stands for none: an address of 0, or a set without members. The zero of other types
// is one of their values, such as the level emerg or the state Live.
func isNone(v reflect.Value, s string) bool {
	return v.IsZero() && (s == "" || s == "none" || s == "0x0")
}

// isNull reports whether a value is null in JSON.
func (c *column) isNull(v reflect.Value) bool {
	if c.null && v.CanInt() {
		return v.Int() == c.nullInt
	}
	return c.null && v.IsZero()
}

// text returns a value as the table shows it.
func (c *column) text(v reflect.Value) string {
	if c.isNull(v) {
		return dash
	}
	return c.shown(v)
}

// shown is text for a value that is not null.
func (c *column) shown(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.IsZero() {
			return dash
		}
		return x.UTC().Format(time.DateTime)
	case []string:
		return c.list(x)
	case bool:
		if x {
			return "yes"
		}
		return dash
	case fmt.Stringer:
		s := x.String()
		if isNone(v, s) {
			return dash
		}
		return text.Line(s)
	}
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return dash
	case v.Kind() == reflect.Pointer:
		return c.shown(v.Elem())
	case v.Kind() == reflect.String:
		return c.word(v.String())
	case v.Kind() == reflect.Slice:
		return c.slice(v)
	case v.CanInt() && c.how == "size":
		return text.Size(v.Int())
	case v.CanUint() && c.how == "size":
		return text.Size(v.Uint())
	}
	return fmt.Sprint(v.Interface())
}

// word returns a text: a dash stands for none, and one that is a dash is quoted.
func (c *column) word(s string) string {
	switch {
	case s == "":
		return dash
	case c.how == "line":
		return text.Line(s)
	case s == dash:
		return text.Quoted(s)
	}
	return text.Word(s)
}

func (c *column) list(all []string) string {
	switch {
	case len(all) == 0:
		return dash
	case c.how == "words":
		return text.Words(all, maxWords)
	}
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = c.word(s)
	}
	return strings.Join(out, ",")
}

func (c *column) slice(v reflect.Value) string {
	if v.Len() == 0 {
		return dash
	}
	out := make([]string, v.Len())
	for i := range out {
		out[i] = c.shown(v.Index(i))
	}
	return strings.Join(out, ",")
}

// plain returns a value as CSV has it: with all there is of it, but for what is not known, which is empty.
func plain(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.UTC().Format(time.RFC3339Nano)
	case []string:
		return defuse(text.Words(x, 1<<20))
	case Age:
		return strconv.FormatInt(int64(x), 10)
	case fmt.Stringer:
		s := x.String()
		if isNone(v, s) {
			return ""
		}
		return defuse(text.Printable(s))
	}
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return ""
	case v.Kind() == reflect.Pointer:
		return plain(v.Elem())
	case v.Kind() == reflect.String:
		return defuse(text.Printable(v.String()))
	case v.Kind() == reflect.Slice:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return strings.Join(out, " ")
	}
	return fmt.Sprint(v.Interface())
}

// defuse keeps spreadsheets from taking text for a formula.
func defuse(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// compare orders two values of one type. None is before all others.
func compare(a, b reflect.Value) int {
	switch {
	case a.Type() == timeType:
		return a.Interface().(time.Time).Compare(b.Interface().(time.Time))
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.Kind() == reflect.String:
		return strings.Compare(a.String(), b.String())
	case a.Kind() == reflect.Pointer && (a.IsNil() || b.IsNil()):
		return strings.Compare(fmt.Sprint(!a.IsNil()), fmt.Sprint(!b.IsNil()))
	case a.Kind() == reflect.Pointer:
		return compare(a.Elem(), b.Elem())
	case a.Kind() == reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			if c := compare(a.Index(i), b.Index(i)); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Len(), b.Len())
	}
	return strings.Compare(plain(a), plain(b))
}
