// Package jsonx writes data as JSON by struct tags, and reads it back as it was.
//
// It is for data whose strings are bytes that need not be text, such as names out of a
// memory image. Its JSON is valid Unicode, which every parser takes, and loses nothing: a
// string that is not UTF-8 has U+FFFD for each byte that is not, and beside it, only then,
// stand the exact bytes in base64, as a member of the same name with Bytes appended. Beside
// an array of strings that array has the same length, and null for those that are text.
// Beside a map it has the key and, if that is a string or points to one, the value of each member in turn.
//
//	"comm": "d\ufffdfunt", "commBytes": "ZOlmdW50"
//	"args": ["-x", "\ufffd"], "argsBytes": [null, "/w=="]
//	"dict": {"k": "\ufffd"}, "dictBytes": [null, "/w=="]
//
// # Tags
//
// Every exported field of a structure needs a tag json:"name", or json:"-" to be left out;
// json:"name,omitempty" and json:"name,omitzero" leave the zero value out; a slice that is empty and not nil is none. The
// fields of embedded structures without a tag are those of the structure itself, but for those whose names it has
// itself. A second tag, jsonx:"option,option", says more:
//
//	null    the zero value is null
//	null=N  the number N is null
//	hex     an integer is a hexadecimal string, such as "-0x1000"
//	inline  of a pointer to a structure: its members are those of the structure around it,
//	        each of them null where the pointer is nil
//
// A nil pointer is null, a slice never is: without elements it is []. What has the methods
// of [encoding.TextMarshaler] is a string, and a time one in UTC with nanoseconds, or null
// if it is zero. A map whose keys are strings is an object, sorted by the bytes of its
// keys, and one without elements {}. Other types with MarshalJSON are written by that, but
// for the outermost value, so that MarshalJSON can call Marshal. An interface without methods
// holds any JSON: what is read is nil, a bool, a string, an int64, a uint64 or float64 that is
// none, a []any or a map[string]any; its strings have no exact bytes. Other interfaces and maps
// are not supported, nor are maps and slices of strings within slices and maps: there is no
// place for their bytes.
//
// The same data gives the same bytes. What is read may have members that are not known;
// members that are missing leave the zero value, and no name is taken for another that
// differs by case.
package jsonx

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bytesSuffix is behind the name of the member that holds the bytes of another.
const bytesSuffix = "Bytes"

// A field is how one field of a structure is written.
type field struct {
	name      string
	index     []int // for reflect.Value.FieldByIndex
	through   []int // of the pointer on that way, of a field that is inline; else nil
	null      bool
	nullInt   int64 // the value that is null
	hex       bool
	omitEmpty bool
}

// structure is how a type of structure is written.
type structure struct {
	all    []field        // in their order
	whole  bool           // there are no fields but these
	byName map[string]int // indexes in all
	err    error          // why it can't be written
}

// cache holds the *structure of each reflect.Type that was asked for.
var cache sync.Map

// structureOf returns how a structure is written.
func structureOf(t reflect.Type) (*structure, error) {
	got, ok := cache.Load(t)
	if !ok {
		s := &structure{byName: map[string]int{}}
		s.all, s.err = parseFields(t, nil)
		s.whole = isWhole(t)
		s.all = visible(s.all)
		for i, f := range s.all {
			s.byName[f.name] = i
		}
		got, _ = cache.LoadOrStore(t, s)
	}
	s := got.(*structure)
	return s, s.err
}

// isWhole reports whether a structure has fields, and all of them are exported.
func isWhole(t reflect.Type) bool {
	for f := range t.Fields() {
		inner := f.Type
		if f.Anonymous && inner.Kind() == reflect.Struct && isWhole(inner) {
			continue
		}
		if !f.IsExported() {
			return false
		}
	}
	return t.NumField() > 0
}

func parseFields(t reflect.Type, index []int) ([]field, error) {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clip(index), i)
		tag, tagged := f.Tag.Lookup("json")
		options := f.Tag.Get("jsonx")
		switch {
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct:
			inner, err := parseFields(f.Type, at)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
		case !f.IsExported() || tag == "-":
		case tag == "":
			return nil, fmt.Errorf("jsonx: %v.%s has no tag", t, f.Name)
		case options == "inline":
			inner, err := parseInline(f.Type, at)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
		default:
			parsed, err := parseTag(tag, options)
			if err != nil {
				return nil, fmt.Errorf("jsonx: %v.%s: %w", t, f.Name, err)
			}
			parsed.index = at
			all = append(all, parsed)
		}
	}
	return all, nil
}

// visible leaves out the fields that others of the same name hide, which are less deep.
func visible(all []field) []field {
	depth := map[string]int{}
	for _, f := range all {
		if d, ok := depth[f.name]; !ok || len(f.index) < d {
			depth[f.name] = len(f.index)
		}
	}
	return slices.DeleteFunc(all, func(f field) bool { return len(f.index) > depth[f.name] })
}

// parseInline returns the fields of what a pointer at index leads to.
func parseInline(t reflect.Type, index []int) ([]field, error) {
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("jsonx: %v can't be inline: it is no pointer to a structure", t)
	}
	all, err := parseFields(t.Elem(), index)
	for i := range all {
		all[i].through = index
	}
	return all, err
}

// parseTag takes the tag json, and the options of the tag jsonx.
func parseTag(tag, options string) (field, error) {
	name, more, _ := strings.Cut(tag, ",")
	f := field{name: name, omitEmpty: more == "omitempty" || more == "omitzero"}
	if more != "" && !f.omitEmpty {
		return f, fmt.Errorf("unknown option %q", more)
	}
	for option := range strings.SplitSeq(options, ",") {
		switch value, number := strings.CutPrefix(option, "null="); {
		case option == "":
		case option == "null":
			f.null = true
		case number:
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return f, err
			}
			f.null, f.nullInt = true, n
		case option == "hex":
			f.hex = true
		default:
			return f, fmt.Errorf("unknown option %q", option)
		}
	}
	return f, nil
}

// isNull reports whether a value is written as null.
func (f *field) isNull(v reflect.Value) bool {
	if f.null && v.CanInt() {
		return v.Int() == f.nullInt
	}
	return f.null && v.IsZero()
}

// The types that are written in a way of their own.
var (
	timeType      = reflect.TypeFor[time.Time]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	bytesType     = reflect.TypeFor[[]byte]()
)

// isText reports whether values of a type are plain strings, which may hold any bytes.
func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String && !t.Implements(textMarshaler) && !t.Implements(jsonMarshaler)
}

// isDict reports whether a type is a map by plain strings, and has no MarshalJSON.
func isDict(t reflect.Type) bool {
	return t.Kind() == reflect.Map && isText(t.Key()) && !t.Implements(jsonMarshaler)
}

// isAny reports whether a type is the interface without methods.
func isAny(t reflect.Type) bool { return t.Kind() == reflect.Interface && t.NumMethod() == 0 }

// isList reports whether a type is a slice or an array.
func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice || t.Kind() == reflect.Array }

// hasNoPlace reports whether values of a type can't be elements of another: there would be no
// place for their exact bytes.
func hasNoPlace(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return isDict(t) || isList(t) && isText(t.Elem())
}

// timeLayout is RFC 3339 with all nine digits of nanoseconds.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// writable reports whether RFC 3339 has a form for the time.
func writable(t time.Time) bool { return !t.IsZero() && t.Year() > 0 && t.Year() < 10000 }
