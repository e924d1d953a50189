package jsonx

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nodelens/nodelens/internal/text"
)

// Marshal returns v, a structure or a pointer to one, as JSON without white space. The
// error says which type can't be written.
func Marshal(v any) ([]byte, error) {
	value := reflect.Indirect(reflect.ValueOf(v))
	if value.Kind() != reflect.Struct {
		return nil, fmt.Errorf("jsonx: %T is no structure", v)
	}
	return appendStruct(nil, value)
}

func appendStruct(b []byte, v reflect.Value) ([]byte, error) {
	fields, err := structureOf(v.Type())
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	first := true
	key := func(name, suffix string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(text.AppendJSON(b, name+suffix), ':')
	}
	for i := range fields.all {
		f := &fields.all[i]
		value, err := v.FieldByIndexErr(f.index)
		if err != nil { // a nil pointer to what is inline
			key(f.name, "")
			b = append(b, "null"...)
			continue
		}
		if f.omitEmpty && value.IsZero() {
			continue
		}
		key(f.name, "")
		if b, err = f.append(b, value); err != nil {
			return nil, err
		}
		if exact := pointee(value); hasBytes(exact) {
			key(f.name, bytesSuffix)
			b = appendBytes(b, exact)
		}
	}
	return append(b, '}'), nil
}

// append appends the value of a field.
func (f *field) append(b []byte, v reflect.Value) ([]byte, error) {
	switch {
	case f.isNull(v):
		return append(b, "null"...), nil
	case f.hex && v.CanInt() && v.Int() < 0:
		return appendHex(append(b, '"', '-'), -uint64(v.Int())), nil
	case f.hex && v.CanInt():
		return appendHex(append(b, '"'), uint64(v.Int())), nil
	case f.hex && v.CanUint():
		return appendHex(append(b, '"'), v.Uint()), nil
	}
	return appendValue(b, v)
}

// appendHex appends n, and the quote that ends it.
func appendHex(b []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(b, "0x"...), n, 16), '"')
}

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	t := v.Type()
	switch {
	case t == timeType:
		return appendTime(b, v.Interface().(time.Time)), nil
	case t.Kind() == reflect.Pointer && v.IsNil():
		return append(b, "null"...), nil
	case isAny(t):
		return appendAny(b, v.Elem())
	case t.Implements(jsonMarshaler):
		out, err := v.Interface().(json.Marshaler).MarshalJSON()
		return append(b, text.EscapeJSON(out)...), err
	case t.Implements(textMarshaler):
		out, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		return text.AppendJSON(b, string(out)), err
	case t == bytesType:
		return appendBase64(b, v.Bytes()), nil
	case isDict(t):
		return appendDict(b, v)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return appendValue(b, v.Elem())
	case reflect.Struct:
		return appendStruct(b, v)
	case reflect.Slice, reflect.Array:
		return appendSlice(b, v)
	case reflect.String:
		return text.AppendJSON(b, v.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	}
	switch {
	case v.CanInt():
		return strconv.AppendInt(b, v.Int(), 10), nil
	case v.CanUint():
		return strconv.AppendUint(b, v.Uint(), 10), nil
	}
	return nil, fmt.Errorf("jsonx: %v can't be written", t)
}

// appendAny appends what an interface holds.
func appendAny(b []byte, v reflect.Value) (_ []byte, err error) {
	switch k := v.Kind(); {
	case k == reflect.Invalid:
		return append(b, "null"...), nil
	case k == reflect.Interface:
		return appendAny(b, v.Elem())
	case v.CanFloat():
		out, err := json.Marshal(v.Float())
		return append(b, out...), err
	case isDict(v.Type()):
		b = append(b, '{')
		for i, key := range keysOf(v) {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendAny(append(text.AppendJSON(b, key.String()), ':'), v.MapIndex(key)); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case isList(v.Type()) && v.Type() != bytesType:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendAny(b, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	return appendValue(b, v)
}

func appendTime(b []byte, t time.Time) []byte {
	if !writable(t) {
		return append(b, "null"...)
	}
	return append(t.UTC().AppendFormat(append(b, '"'), timeLayout), '"')
}

func appendSlice(b []byte, v reflect.Value) (_ []byte, err error) {
	if hasNoPlace(v.Type().Elem()) {
		return nil, errNoPlace(v)
	}
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// keysOf returns the keys of a map, sorted.
func keysOf(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func appendDict(b []byte, v reflect.Value) (_ []byte, err error) {
	if hasNoPlace(v.Type().Elem()) {
		return nil, errNoPlace(v)
	}
	b = append(b, '{')
	for i, key := range keysOf(v) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(text.AppendJSON(b, key.String()), ':')
		if b, err = appendValue(b, v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func errNoPlace(v reflect.Value) error {
	return fmt.Errorf("jsonx: %v can't be written: its bytes have no place", v.Type())
}

// hasBytes reports whether the exact bytes of a value are to stand beside it.
func hasBytes(v reflect.Value) bool {
	switch t := v.Type(); {
	case isText(t):
		return !utf8.ValidString(v.String())
	case isDict(t):
		for _, key := range keysOf(v) {
			if hasBytes(key) || hasBytes(textOf(v.MapIndex(key))) {
				return true
			}
		}
	case isList(t) && isText(t.Elem()):
		for i := range v.Len() {
			if hasBytes(v.Index(i)) {
				return true
			}
		}
	}
	return false
}

// pointee returns the plain string that v points to, if it does so, and else v.
func pointee(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer && isText(v.Type().Elem()) && !v.IsNil() {
		return v.Elem()
	}
	return v
}

// textOf returns v if it is a plain string, or the one that it points to, and else an empty
// one.
func textOf(v reflect.Value) reflect.Value {
	if v = pointee(v); isText(v.Type()) {
		return v
	}
	return reflect.ValueOf("")
}

// appendBytes appends the exact bytes of a value: null for what is text, or no string.
func appendBytes(b []byte, v reflect.Value) []byte {
	var all []reflect.Value
	switch t := v.Type(); {
	case isDict(t):
		for _, key := range keysOf(v) {
			all = append(all, key, textOf(v.MapIndex(key)))
		}
	case isList(t):
		for i := range v.Len() {
			all = append(all, v.Index(i))
		}
	case !hasBytes(v):
		return append(b, "null"...)
	default:
		return appendBase64(b, []byte(v.String()))
	}
	b = append(b, '[')
	for i, element := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBytes(b, element)
	}
	return append(b, ']')
}

func appendBase64(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}
