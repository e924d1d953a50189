package kstruct

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// tagKey is the key under which the tag of a Go field names a member.
const tagKey = "kernel"

// A tag says which member a Go field is read from.
type tag struct {
	paths    []string // newest layout first; one that is empty is the structure itself
	address  bool     // of the address of the member, not of its value
	optional bool
	big      bool // the bytes are in network order
}

// fieldTag returns the tag of a field, and false where it has none.
func fieldTag(f reflect.StructField) (tag, bool, error) {
	text, ok := f.Tag.Lookup(tagKey)
	if !ok && strings.Contains(string(f.Tag), tagKey+":") {
		return tag{}, false, fmt.Errorf("malformed tag `%s`", f.Tag)
	}
	if !ok || text == "-" {
		return tag{}, false, nil
	}
	t, err := parseTag(text)
	return t, true, err
}

func parseTag(text string) (tag, error) {
	names, options, hasOptions := strings.Cut(text, ",")
	var t tag
	names, t.address = strings.CutPrefix(names, "&")
	t.paths = strings.Split(names, "|")
	for _, p := range t.paths {
		if p == "" && (!t.address || len(t.paths) > 1) {
			return tag{}, fmt.Errorf("tag %q has a path that is empty", text)
		}
		if strings.ContainsAny(p, "& \t\r\n") {
			return tag{}, fmt.Errorf("tag %q has a malformed path", text)
		}
	}
	if hasOptions {
		return t.withOptions(text, strings.Split(options, ","))
	}
	return t, nil
}

func (t tag) withOptions(text string, options []string) (tag, error) {
	for i, o := range options {
		if slices.Contains(options[:i], o) {
			return tag{}, fmt.Errorf("tag %q has option %q twice", text, o)
		}
		switch o {
		case "optional":
			t.optional = true
		case "be":
			t.big = true
		default:
			return tag{}, fmt.Errorf("tag %q has an unknown option %q", text, o)
		}
	}
	if t.address && t.big {
		return tag{}, fmt.Errorf("tag %q has a byte order for an address", text)
	}
	return t, nil
}
