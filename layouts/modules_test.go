package layouts

import (
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

// TestKnownModules: the layouts of modules have types of modules and no others, and each is of
// a kernel whose own layout is known.
func TestKnownModules(t *testing.T) {
	t.Parallel()
	all := KnownModules().All()
	if len(all) == 0 {
		t.Fatal("none")
	}
	for _, l := range all {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"nft_chain", "veth_priv", "vsock_sock", "ip_vs_service", "nf_conntrack_net"} {
			if u, err := f.UserType(name); err != nil || len(u.Fields) == 0 {
				t.Errorf("%s: %s: %v", l.Name, name, err)
			}
		}
		if u, err := f.UserType("task_struct"); err == nil && len(u.Fields) > 0 {
			t.Errorf("%s has the kernel's task_struct", l.Name)
		}
		if len(Known().ByBuildID(l.BuildID)) != 1 {
			t.Errorf("%s is of an unknown kernel", l.Name)
		}
	}
}

func structOf(name string, size uint64, fields ...isf.Field) isf.UserType {
	return isf.UserType{Name: name, Kind: isf.KindStruct, Size: size, Fields: fields}
}

func moduleOf(t *testing.T, types ...isf.UserType) *isf.File {
	t.Helper()
	f, err := isf.New(isf.Contents{Bases: []isf.BaseType{{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true}}, Types: types})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMerger: a type that two modules have is one; of types that differ under one name, be it in two modules or
// in a module and the kernel, none is left.
func TestMerger(t *testing.T) {
	t.Parallel()
	integer := &isf.Type{Kind: isf.KindBase, Name: "int"}
	x := func(offset uint64) isf.Field { return isf.Field{Name: "x", Offset: offset, Type: integer} }
	m, err := NewMerger(moduleOf(t, structOf("kernels", 4, x(0)), structOf("other", 4, x(0))))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*isf.File{
		moduleOf(t, structOf("kernels", 4, x(0)), structOf("shared", 8, x(4)), structOf("twice", 8, x(4)), structOf("other", 8, x(4))),
		moduleOf(t, structOf("shared", 8, x(4)), structOf("twice", 8, x(0)), structOf("unwanted", 8, x(0))),
	} {
		if err := m.Add(f, func(name string) bool { return name != "unwanted" }); err != nil {
			t.Fatal(err)
		}
	}
	f, differ, err := m.File()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for u := range f.UserTypes() {
		names = append(names, u.Name)
	}
	if strings.Join(names, " ") != "shared" || !slices.Equal(differ, []string{"other", "twice"}) {
		t.Errorf("%v, without %v", names, differ)
	}
}
