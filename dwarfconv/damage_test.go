package dwarfconv

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
)

// convertWarned converts b and returns what Warn was told.
func convertWarned(t testing.TB, b []byte) (*isf.File, []error) {
	t.Helper()
	var warned []error
	f, err := Convert(context.Background(), bytes.NewReader(b), int64(len(b)), &Options{Warn: func(err error) { warned = append(warned, err) }})
	if err != nil {
		t.Fatal(err)
	}
	return f, warned
}

// roundTrip encodes f and reads it back, which must give the same.
func roundTrip(t testing.TB, f *isf.File) {
	t.Helper()
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatal(err)
	}
	again, err := isf.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Malformed()) > 0 {
		t.Fatal(again.Malformed()[0])
	}
	want, got := contents(f), contents(again)
	if !reflect.DeepEqual(want, got) { //nolint:govet // databases hold no errors; much faster than Diff
		t.Fatalf("encoded and read again (-converted +read):\n%s", cmp.Diff(want, got))
	}
}

func contents(f *isf.File) isf.Contents {
	c := isf.Contents{Metadata: f.Metadata()}
	for b := range f.BaseTypes() {
		c.Bases = append(c.Bases, *b)
	}
	for u := range f.UserTypes() {
		c.Types = append(c.Types, *u)
	}
	for e := range f.Enums() {
		c.Enums = append(c.Enums, *e)
	}
	for s := range f.Symbols() {
		c.Symbols = append(c.Symbols, *s)
	}
	return c
}

// TestOdd converts types that no C has, or that no ISF can have. They cost what can't
// be kept of themselves, or their unit, and all others are as they are elsewhere.
func TestOdd(t *testing.T) {
	for _, name := range []string{"odd-gcc5.elf", "odd-clang5.elf"} {
		t.Run(name, func(t *testing.T) {
			f, warned := convertWarned(t, unpacked(t, name))
			roundTrip(t, f)

			var told []string
			for _, err := range warned {
				var unit *UnitError
				if errors.As(err, &unit) && !errors.Is(err, errDepth) {
					t.Error(err)
				} else if unit == nil {
					told = append(told, err.Error())
				}
			}
			want := []string{
				`dwarfconv: struct twice: more than one member "second"`,
				`dwarfconv: enum again: more than one constant "SECOND"`,
			}
			if len(warned) != 3 || !slices.Equal(told, want) {
				t.Errorf("told %q, want %q and of one unit with a type too deep", warned, want)
			}

			p := printer{f}
			odd := []string{
				"enum again 4 unsigned int { KEPT=0 SECOND=2 }",
				"struct clash 12 { 0 unnamed_field_0 int; 4 unnamed_field_2! struct 4 { 0 inner int; };" +
					" 8 unnamed_field_1 struct 4 { 0 unnamed_field_0 int; }; }",
				"struct deepest 8 { 0 pointer " + strings.Repeat("*", 99) + "int; }",
				"struct twice 12 { 0 kept int; 8 second char; 10 unnamed_field_0! struct 2 { 0 in short int; }; }",
			}
			types := slices.Concat(odd, commonTypes)
			slices.Sort(types)
			if diff := cmp.Diff(types, p.types()); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			if s, err := f.Symbol("deep"); err != nil || s.Type != nil {
				t.Errorf("the symbol of the unit that is lost: %v, %v; want it without a type", s, err)
			}
		})
	}
}

// TestSamplesRoundTrip writes and reads the ISF of each sample.
func TestSamplesRoundTrip(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) { roundTrip(t, convertSample(t, s.name)) })
	}
}

func TestKernelsRoundTrip(t *testing.T) {
	onKernels(t, func(t *testing.T, k kernel) { roundTrip(t, convertKernel(t, k)) })
}
