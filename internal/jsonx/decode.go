package jsonx

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errBytes: exact bytes that are not those of the text beside them.
var errBytes = errors.New("the bytes are not those of the text")

// Unmarshal sets the structure that v points to from JSON that Marshal gave. Fields without
// a member become their zero value. Slices without elements become nil, but those that would
// be left out then.
func Unmarshal(data []byte, v any) error {
	value := reflect.ValueOf(v)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("jsonx: %T is no pointer to a structure", v)
	}
	if !json.Valid(data) {
		return json.Unmarshal(data, new(any)) // says where it is wrong
	}
	return setStruct(bytes.TrimSpace(data), value.Elem())
}

func setStruct(data []byte, v reflect.Value) error {
	fields, err := structureOf(v.Type())
	if err != nil {
		return err
	}
	if data[0] != '{' {
		return wrongKind(data, "an object")
	}
	found := make([]member, len(fields.all))
	for name, value := range members(data) {
		if i, ok := fields.byName[name]; ok {
			found[i].value = value
		} else if i, ok := fields.byName[strings.TrimSuffix(name, bytesSuffix)]; ok {
			found[i].exact = value
		}
	}
	fields.clearInline(v)
	for i := range fields.all {
		f := &fields.all[i]
		if f.through != nil && !f.enter(v, found[i]) {
			continue
		}
		if err := f.set(found[i], v.FieldByIndex(f.index)); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// clearInline sets the pointers to what is inline in v to nil.
func (s *structure) clearInline(v reflect.Value) {
	for i := range s.all {
		if s.all[i].through != nil {
			v.FieldByIndex(s.all[i].through).SetZero()
		}
	}
}

// enter makes sure that there is what an inline field is a part of, and reports whether
// there has to be: not for a member that is null or not there.
func (f *field) enter(v reflect.Value, m member) bool {
	if m.value == nil || string(m.value) == "null" {
		return false
	}
	if p := v.FieldByIndex(f.through); p.IsNil() {
		p.Set(reflect.New(p.Type().Elem()))
	}
	return true
}

// A member is the value of one, and that of the member with its exact bytes; nil if there is
// none.
type member struct{ value, exact []byte }

func wrongKind(data []byte, wanted string) error {
	return fmt.Errorf("%s where %s should be", kindOf(data), wanted)
}

// set sets a field from its member.
func (f *field) set(m member, v reflect.Value) error {
	data := m.value
	v.SetZero()
	switch {
	case data == nil:
		return nil
	case string(data) == "null":
		if f.null && v.CanInt() {
			v.SetInt(f.nullInt)
		}
		return nil
	case f.hex:
		return setHex(data, v)
	}
	if isDict(v.Type()) {
		return setDict(m, v)
	}
	if err := setValue(data, v); err != nil {
		return err
	}
	if f.omitEmpty && v.Kind() == reflect.Slice && v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	if m.exact == nil {
		return nil
	}
	return setBytes(m.exact, pointee(v))
}

// setDict sets a map from its member. Members whose keys are the same as text may have
// different ones by their exact bytes.
func setDict(m member, v reflect.Value) error {
	if m.value[0] != '{' {
		return wrongKind(m.value, "an object")
	}
	var keys []string
	var values []reflect.Value
	for key, data := range members(m.value) {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := setValue(data, value); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		keys, values = append(keys, key), append(values, value)
	}
	if m.exact != nil {
		if err := setDictBytes(m.exact, keys, values); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i, key := range keys {
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), values[i])
	}
	return nil
}

// setDictBytes sets keys and values of a map from their exact bytes.
func setDictBytes(data []byte, keys []string, values []reflect.Value) error {
	if data[0] != '[' {
		return wrongKind(data, "an array")
	}
	exact := slices.Collect(elements(data))
	if len(exact) != 2*len(keys) {
		return errBytes
	}
	for i := range keys {
		if err := setBytes(exact[2*i], reflect.ValueOf(&keys[i]).Elem()); err != nil {
			return err
		}
		value := reflect.Indirect(values[i])
		if !value.IsValid() { // a nil pointer
			continue
		}
		if err := setBytes(exact[2*i+1], value); err != nil {
			return err
		}
	}
	return nil
}

func setHex(data []byte, v reflect.Value) error {
	s, err := unquote(data)
	if err != nil {
		return err
	}
	rest, negative := strings.CutPrefix(s, "-")
	digits, ok := strings.CutPrefix(rest, "0x")
	if !ok {
		return fmt.Errorf("%q is no hexadecimal number", s)
	}
	if v.CanInt() {
		if negative {
			digits = "-" + digits
		}
		n, err := strconv.ParseInt(digits, 16, v.Type().Bits())
		v.SetInt(n)
		return err
	}
	n, err := strconv.ParseUint(digits, 16, v.Type().Bits())
	if err == nil && negative {
		err = fmt.Errorf("%q is negative", s)
	}
	v.SetUint(n)
	return err
}

func setValue(data []byte, v reflect.Value) error {
	t := v.Type()
	switch {
	case string(data) == "null":
		v.SetZero()
		return nil
	case t == timeType:
		return setTime(data, v)
	case isAny(t):
		return setAny(data, v)
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		return setValue(data, v.Elem())
	case t.Implements(jsonMarshaler):
		return setJSON(data, v)
	case t == bytesType:
		return json.Unmarshal(data, v.Addr().Interface())
	case t.Implements(textMarshaler):
		return setText(data, v)
	case t.Kind() == reflect.Struct:
		return setStruct(data, v)
	case isDict(t):
		return setDict(member{value: data}, v)
	case isList(t):
		return setSlice(data, v)
	case t.Kind() == reflect.String:
		s, err := unquote(data)
		v.SetString(s)
		return err
	}
	return json.Unmarshal(data, v.Addr().Interface())
}

// setAny sets an interface to what JSON has.
func setAny(data []byte, v reflect.Value) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return err
	}
	value, err := withNumbers(value)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(value))
	return nil
}

// withNumbers makes numbers of their text in a value.
func withNumbers(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = withNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = withNumbers(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func setJSON(data []byte, v reflect.Value) error {
	to, ok := reflect.TypeAssert[json.Unmarshaler](v.Addr())
	if !ok {
		return fmt.Errorf("jsonx: %v can't be read", v.Type())
	}
	return to.UnmarshalJSON(data)
}

func setTime(data []byte, v reflect.Value) error {
	s, err := unquote(data)
	if err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	v.Set(reflect.ValueOf(t.UTC()))
	return err
}

func setText(data []byte, v reflect.Value) error {
	to, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr())
	if !ok {
		return fmt.Errorf("jsonx: %v can't be read", v.Type())
	}
	s, err := unquote(data)
	if err != nil {
		return err
	}
	return to.UnmarshalText([]byte(s))
}

func setSlice(data []byte, v reflect.Value) error {
	if data[0] != '[' {
		return wrongKind(data, "an array")
	}
	elements := slices.Collect(elements(data))
	switch {
	case v.Kind() == reflect.Array && v.Len() != len(elements):
		return fmt.Errorf("%d elements where %d should be", len(elements), v.Len())
	case v.Kind() == reflect.Array:
	case len(elements) == 0:
		return nil
	default:
		v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	}
	for i, element := range elements {
		if err := setValue(element, v.Index(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

// setBytes sets a string, or those of a slice, from the exact bytes: of what is null the
// text is exact.
func setBytes(data []byte, v reflect.Value) error {
	switch t := v.Type(); {
	case isText(t):
		var exact []byte
		if err := json.Unmarshal(data, &exact); err != nil || exact == nil {
			return err
		}
		if string([]rune(string(exact))) != v.String() {
			return errBytes
		}
		v.SetString(string(exact))
	case isList(t) && isText(t.Elem()):
		if data[0] != '[' {
			return wrongKind(data, "an array")
		}
		exact := slices.Collect(elements(data))
		if len(exact) != v.Len() {
			return errBytes
		}
		for i := range exact {
			if err := setBytes(exact[i], v.Index(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
