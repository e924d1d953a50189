package isf_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

func intType(name string) *isf.Type { return &isf.Type{Kind: isf.KindBase, Name: name} }

func structType(name string) *isf.Type { return &isf.Type{Kind: isf.KindStruct, Name: name} }

// layersOf returns a kernel's database, and that of a module over it.
func layersOf(t *testing.T) (kernel, module *isf.File) {
	t.Helper()
	kernel, err := isf.New(isf.Contents{
		Metadata: isf.Metadata{Producer: isf.Producer{Name: "kernel"}},
		Bases:    []isf.BaseType{{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true}},
		Types: []isf.UserType{
			{Name: "list", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{{Name: "a", Type: intType("int")}, {Name: "b", Offset: 4, Type: intType("int")}}},
			{Name: "twice", Kind: isf.KindStruct, Size: 4},
		},
		Enums:   []isf.Enum{{Name: "color", Size: 4, Constants: []isf.Constant{{Name: "RED", Value: 1}}}},
		Symbols: []isf.Symbol{{Name: "jiffies", Address: 8}, {Name: "shared", Address: 16}},
		Lost:    []error{errors.New("a page")},
	})
	if err != nil {
		t.Fatal(err)
	}
	module, err = isf.NewOver(kernel, isf.Contents{
		Types: []isf.UserType{
			{Name: "device", Kind: isf.KindStruct, Size: 12, Fields: []isf.Field{{Name: "x", Type: intType("int")}, {Name: "list", Offset: 4, Type: structType("list")}}},
			{Name: "twice", Kind: isf.KindStruct, Size: 32},
		},
		Symbols: []isf.Symbol{{Name: "shared", Address: 32}, {Name: "static", Address: 64}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return kernel, module
}

func TestOverFindsBoth(t *testing.T) {
	_, module := layersOf(t)
	if f, err := module.Field("device", "list.b"); err != nil || f.Offset != 8 {
		t.Errorf("device.list.b: %+v, %v", f, err)
	}
	if u, err := module.UserType("twice"); err != nil || u.Size != 32 {
		t.Errorf("twice: %+v, %v", u, err)
	}
	for name, want := range map[string]uint64{"jiffies": 8, "shared": 32, "static": 64} {
		if s, err := module.Symbol(name); err != nil || s.Address != want {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if v, err := module.Constant("color", "RED"); err != nil || v != 1 {
		t.Errorf("RED: %d, %v", v, err)
	}
	if _, err := module.UserType("none"); !errors.Is(err, isf.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
	if len(module.Lost()) != 1 || module.Metadata().Producer.Name != "kernel" {
		t.Errorf("lost %v, metadata %+v", module.Lost(), module.Metadata())
	}
}

func TestOverIsOneDatabase(t *testing.T) {
	kernel, module := layersOf(t)
	var names []string
	for u := range module.UserTypes() {
		names = append(names, u.Name)
	}
	for s := range module.Symbols() {
		names = append(names, s.Name)
	}
	if want := []string{"device", "list", "twice", "jiffies", "shared", "static"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	var b bytes.Buffer
	if err := module.Encode(&b); err != nil {
		t.Fatal(err)
	}
	read, err := isf.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := read.Field("device", "list.b"); err != nil || f.Offset != 8 {
		t.Errorf("decoded device.list.b: %+v, %v", f, err)
	}
	if u, err := read.UserType("twice"); err != nil || u.Size != 32 {
		t.Errorf("decoded twice: %+v, %v", u, err)
	}
	if u, err := kernel.UserType("twice"); err != nil || u.Size != 4 {
		t.Errorf("the kernel's own twice became %+v, %v", u, err)
	}
	more, _ := module.Complete(kernel, &isf.CompleteOptions{Symbols: true})
	if u, err := more.UserType("device"); err != nil || u.Size != 12 {
		t.Errorf("completed: %+v, %v", u, err)
	}
}
