package jsonx

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// described has for types what Describe says of them.
var described sync.Map

// Describe says that the JSON that T is written as, by a method of its own, has the form of what Marshal writes of As, for [SchemaOf].
// As may be T itself, a number with a point, [Hex] or [Either]. It is called where T is declared: its result means nothing.
func Describe[T, As any]() struct{} {
	described.Store(reflect.TypeFor[T](), reflect.TypeFor[As]())
	return struct{}{}
}

// Hex stands for a hexadecimal number in a string, in [Describe].
type Hex struct{}

// Either stands for what has the form of A or that of B, in [Describe].
type Either[A, B any] struct{}

func (Either[A, B]) forms() [2]reflect.Type {
	return [2]reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B]()}
}

// Patterns of strings.
const (
	hexPattern  = "^-?0x[0-9a-f]+$"
	timePattern = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$`
)

// SchemaOf returns the JSON Schema of what Marshal writes of values of type T, or what [Describe] says of them. Members that are not in
// it are allowed, for what is written may be of a later version. The error says what has no schema.
func SchemaOf[T any]() (*Schema, error) {
	d := &definer{defs: map[string]*Schema{}, types: map[string]reflect.Type{}}
	t := reflect.TypeFor[T]()
	if as, ok := described.Load(t); ok {
		t = as.(reflect.Type)
	}
	s, err := d.structure(t)
	if err != nil {
		return nil, err
	}
	s.Dialect = Dialect
	s.Defs = d.defs
	return s, nil
}

// A definer makes the schemas of types, each once.
type definer struct {
	defs  map[string]*Schema
	types map[string]reflect.Type // that they are of
}

// structure returns the schema of a structure.
func (d *definer) structure(t reflect.Type) (*Schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("jsonx: %v is no structure", t)
	}
	fields, err := structureOf(t)
	if err != nil {
		return nil, err
	}
	s := &Schema{Type: types{"object"}}
	for i := range fields.all {
		f := &fields.all[i]
		ft := t.FieldByIndex(f.index).Type
		value, err := d.field(f, ft)
		if err != nil {
			return nil, fmt.Errorf("%w, in %v", err, t)
		}
		s.Properties = append(s.Properties, Property{f.name, value})
		if !f.omitEmpty {
			s.Required = append(s.Required, f.name)
		}
		if exact := exactBytes(ft); exact != nil {
			s.Properties = append(s.Properties, Property{f.name + bytesSuffix, exact})
		}
	}
	return s, nil
}

// field returns the schema of the value of a field.
func (d *definer) field(f *field, t reflect.Type) (*Schema, error) {
	s := &Schema{Type: types{"string"}, Pattern: hexPattern}
	if !f.hex {
		var err error
		if s, err = d.value(t); err != nil {
			return nil, err
		}
	}
	if f.null || f.through != nil {
		s = orNull(s)
	}
	return s, nil
}

// exactBytes returns the schema of the member that has the exact bytes of another; nil where there is none.
func exactBytes(t reflect.Type) *Schema {
	bytes := &Schema{Type: types{"string"}, Encoding: "base64"}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isText(t):
		return bytes
	case isDict(t), isList(t) && isText(t.Elem()):
		return &Schema{Type: types{"array"}, Items: orNull(bytes)}
	}
	return nil
}

// value returns the schema of a value: the cases are those of appendValue, in its order.
func (d *definer) value(t reflect.Type) (*Schema, error) {
	if as, ok := described.Load(t); ok {
		return d.as(t, as.(reflect.Type))
	}
	switch {
	case t == timeType:
		return &Schema{Type: types{"string", "null"}, Pattern: timePattern}, nil
	case isAny(t):
		return &Schema{}, nil
	case t.Kind() == reflect.Pointer:
		s, err := d.value(t.Elem())
		if err != nil {
			return nil, err
		}
		return orNull(s), nil
	case t.Implements(jsonMarshaler):
		return nil, fmt.Errorf("jsonx: nothing describes the JSON of %v", t)
	case t.Implements(textMarshaler):
		return &Schema{Type: types{"string"}}, nil
	case t == bytesType:
		return &Schema{Type: types{"string"}, Encoding: "base64"}, nil
	case isDict(t):
		s, err := d.value(t.Elem())
		return &Schema{Type: types{"object"}, Additional: s}, err
	case isList(t):
		return d.list(t)
	case t.Kind() == reflect.Struct:
		return d.define(t, t)
	}
	return scalar(t)
}

// as returns the schema of a type that is written as another.
func (d *definer) as(t, as reflect.Type) (*Schema, error) {
	switch forms := reflect.Zero(as).Interface().(type) {
	case Hex:
		return &Schema{Type: types{"string"}, Pattern: hexPattern}, nil
	case interface{ forms() [2]reflect.Type }:
		s := &Schema{}
		for _, form := range forms.forms() {
			one, err := d.value(form)
			if err != nil {
				return nil, err
			}
			s.AnyOf = append(s.AnyOf, one)
		}
		return s, nil
	}
	if as.Kind() == reflect.Struct {
		return d.define(t, as)
	}
	return d.value(as)
}

func (d *definer) list(t reflect.Type) (*Schema, error) {
	s, err := d.value(t.Elem())
	if err != nil {
		return nil, err
	}
	s = &Schema{Type: types{"array"}, Items: s}
	if t.Kind() == reflect.Array {
		s.MinItems, s.MaxItems = t.Len(), t.Len()
	}
	return s, nil
}

// scalar returns the schema of a plain value.
func scalar(t reflect.Type) (*Schema, error) {
	switch k := t.Kind(); {
	case k == reflect.String:
		return &Schema{Type: types{"string"}}, nil
	case k == reflect.Bool:
		return &Schema{Type: types{"boolean"}}, nil
	case k == reflect.Float32 || k == reflect.Float64:
		return &Schema{Type: types{"number"}}, nil
	case k >= reflect.Int && k <= reflect.Int64:
		s := &Schema{Type: types{"integer"}}
		if bits := t.Bits(); bits < 64 {
			s.Minimum, s.Maximum = number(-1<<(bits-1)), number(1<<(bits-1)-1)
		}
		return s, nil
	case k >= reflect.Uint && k <= reflect.Uintptr:
		s := &Schema{Type: types{"integer"}, Minimum: "0"}
		if bits := t.Bits(); bits < 64 {
			s.Maximum = number(math.MaxInt64 >> (63 - bits))
		}
		return s, nil
	}
	return nil, fmt.Errorf("jsonx: %v can't be written", t)
}

func number(n int64) json.Number { return json.Number(fmt.Sprint(n)) }

// define makes the schema of a structure once, that of what it is written as, and returns where it is.
func (d *definer) define(t, as reflect.Type) (*Schema, error) {
	if t.Name() == "" {
		return d.structure(as)
	}
	name := definition(t)
	ref := &Schema{Ref: "#/$defs/" + name}
	if known, ok := d.types[name]; ok {
		if known != t {
			return nil, fmt.Errorf("jsonx: %v and %v have one name", known, t)
		}
		return ref, nil
	}
	d.types[name] = t // before its fields, which may be of it as well
	s, err := d.structure(as)
	d.defs[name] = s
	return ref, err
}

// definition returns the name of a type, with its package, in letters that stand for themselves in a reference.
func definition(t reflect.Type) string {
	module := strings.TrimSuffix(reflect.TypeFor[Schema]().PkgPath(), "internal/jsonx")
	return strings.NewReplacer(module, "", "/", ".", "[", "-", "]", "", "*", "").Replace(t.PkgPath() + "." + t.Name())
}

// orNull returns the schema of what is as s has it, or null.
func orNull(s *Schema) *Schema {
	null := &Schema{Type: types{"null"}}
	out := *s
	switch {
	case len(s.AnyOf) > 0:
		out.AnyOf = append(slices.Clip(s.AnyOf), null)
	case s.Ref != "":
		return &Schema{AnyOf: []*Schema{s, null}}
	case len(s.Type) > 0 && !slices.Contains(s.Type, "null"): // and else it is one already
		out.Type = append(slices.Clip(s.Type), "null")
	}
	return &out
}
