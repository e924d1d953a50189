package jsonx

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"time"
)

// Unpack sets the structure that v points to from what [Pack] gave of one of the same type. Texts share memory with each other.
func Unpack(data []byte, v any) error {
	value := reflect.ValueOf(v)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return errPacked
	}
	u := &unpacker{in: string(data)}
	if err := u.structure(value.Elem()); err != nil {
		return err
	}
	if u.in != "" {
		return errPacked
	}
	return nil
}

// An unpacker unpacks one value.
type unpacker struct {
	in    string   // what is left
	texts []string // that were there
	bad   bool     // in was shorter than it should be
}

// uint returns a number; 0 where there is none, which is bad.
func (u *unpacker) uint() uint64 {
	n, shift := uint64(0), 0
	for i := range min(len(u.in), binary.MaxVarintLen64) {
		c := u.in[i]
		n |= uint64(c&0x7f) << shift
		if shift += 7; c < 0x80 {
			u.in = u.in[i+1:]
			return n
		}
	}
	u.bad, u.in = true, ""
	return 0
}

func (u *unpacker) int() int64 {
	n := u.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (u *unpacker) bool() bool { return u.uint() == 1 }

// length returns how many elements follow, or one more: no more than there are bytes, of which each takes one.
func (u *unpacker) length() int {
	n := u.uint()
	if n > uint64(len(u.in))+1 {
		u.bad = true
		return 0
	}
	return int(n)
}

func (u *unpacker) text() string {
	n := u.uint()
	switch old := n&1 == 1; {
	case old && n>>1 < uint64(len(u.texts)):
		return u.texts[n>>1]
	case old || n>>1 > uint64(len(u.in)):
		u.bad = true
		return ""
	}
	s := u.in[:n>>1]
	u.in = u.in[n>>1:]
	u.texts = append(u.texts, s)
	return s
}

// end returns whether all was well so far.
func (u *unpacker) end() error {
	if u.bad {
		return errPacked
	}
	return nil
}

func (u *unpacker) structure(v reflect.Value) error {
	fields, err := structureOf(v.Type())
	if err != nil {
		return err
	}
	fields.clearInline(v)
	for i := range fields.all {
		f := &fields.all[i]
		if f.through != nil {
			if !u.bool() {
				continue
			}
			if at := v.FieldByIndex(f.through); at.IsNil() {
				at.Set(reflect.New(at.Type().Elem()))
			}
		}
		if err := u.value(v.FieldByIndex(f.index)); err != nil {
			return err
		}
	}
	return u.end()
}

func (u *unpacker) value(v reflect.Value) error {
	t := v.Type()
	switch formOf(t) {
	case byTime:
		v.Set(reflect.ValueOf(u.time()))
		return u.end()
	case byAny:
		if read := u.any(0); read != nil {
			v.Set(reflect.ValueOf(read))
		} else {
			v.SetZero()
		}
		return u.end()
	case byText:
		return u.method(v, func(p any, text []byte) error {
			to, ok := p.(encoding.TextUnmarshaler)
			if !ok {
				return errPacked
			}
			return to.UnmarshalText(text)
		})
	case byJSON:
		return u.method(v, func(p any, text []byte) error {
			to, ok := p.(json.Unmarshaler)
			if !ok {
				return errPacked
			}
			return to.UnmarshalJSON(text)
		})
	}
	switch t.Kind() {
	case reflect.Struct:
		return u.structure(v)
	case reflect.Pointer:
		v.SetZero()
		if !u.bool() {
			return u.end()
		}
		v.Set(reflect.New(t.Elem()))
		return u.value(v.Elem())
	case reflect.Slice:
		n := u.length()
		v.SetZero()
		if n == 0 {
			return u.end()
		}
		v.Set(reflect.MakeSlice(t, n-1, n-1))
		return u.elements(v)
	case reflect.Array:
		return u.elements(v)
	case reflect.Map:
		return u.dict(v)
	}
	u.scalar(v)
	return u.end()
}

// method hands a text to a method of what v is.
func (u *unpacker) method(v reflect.Value, unmarshal func(p any, text []byte) error) error {
	text := u.text()
	if err := u.end(); err != nil {
		return err
	}
	return unmarshal(v.Addr().Interface(), []byte(text))
}

func (u *unpacker) elements(v reflect.Value) error {
	for i := range v.Len() {
		if err := u.value(v.Index(i)); err != nil {
			return err
		}
	}
	return u.end()
}

func (u *unpacker) dict(v reflect.Value) error {
	n := u.length()
	v.SetZero()
	if n == 0 {
		return u.end()
	}
	v.Set(reflect.MakeMap(v.Type()))
	for range n - 1 {
		key, value := reflect.ValueOf(u.text()).Convert(v.Type().Key()), reflect.New(v.Type().Elem()).Elem()
		if err := u.value(value); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return u.end()
}

func (u *unpacker) scalar(v reflect.Value) {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(u.text())
	case v.Kind() == reflect.Bool:
		v.SetBool(u.bool())
	case v.CanInt():
		v.SetInt(u.int())
	case v.CanUint():
		v.SetUint(u.uint())
	case v.CanFloat():
		v.SetFloat(math.Float64frombits(u.uint()))
	default:
		u.bad = true
	}
}

func (u *unpacker) time() time.Time {
	if !u.bool() {
		return time.Time{}
	}
	return time.Unix(u.int(), int64(u.uint())).UTC()
}

// maxDepth is how deep what an interface holds may be.
const maxDepth = 1000

func (u *unpacker) any(depth int) any {
	if depth > maxDepth {
		u.bad = true
	}
	if u.bad {
		return nil
	}
	switch kind := u.uint(); kind {
	case anyNil:
		return nil
	case anyBool:
		return u.bool()
	case anyText:
		return u.text()
	case anyInt:
		return u.int()
	case anyUint:
		return u.uint()
	case anyFloat:
		return math.Float64frombits(u.uint())
	case anyList:
		list := make([]any, u.length())
		for i := range list {
			list[i] = u.any(depth + 1)
		}
		return list
	case anyDict:
		dict := map[string]any{}
		for range u.length() {
			key := u.text()
			dict[key] = u.any(depth + 1)
		}
		return dict
	}
	u.bad = true
	return nil
}
