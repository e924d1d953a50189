package module

import (
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A patched memory is that of a node with some words changed.
type patched struct{ *smeartest.Memory }

// put changes a word of the kernel of a node.
func (p *patched) put(t *testing.T, n *node, at vmem.VirtAddr, value uint64) {
	t.Helper()
	m, err := n.K.Space().Translate(at)
	if err != nil {
		t.Fatal(err)
	}
	p.PutUint64(m.At(at), value)
}

// unlink takes a node out of a list_head list.
func (p *patched) unlink(t *testing.T, n *node, node vmem.VirtAddr) {
	t.Helper()
	next, err := n.K.Space().Uint64(node)
	prev, err2 := n.K.Space().Uint64(node + 8)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	p.put(t, n, vmem.VirtAddr(next)+8, prev)
	p.put(t, n, vmem.VirtAddr(prev), next)
	p.put(t, n, node, uint64(node)) // list_del_init
	p.put(t, n, node+8, uint64(node))
}

func (p *patched) open(t *testing.T, symbols *isf.File) *Set {
	t.Helper()
	k, err := linux.Open(t.Context(), p, &linux.Options{Symbols: symbols})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newPatched(n *node) *patched { return &patched{smeartest.New(n.Mem)} }

// TestHidden takes a module out of the lists in which rootkits are not to be seen. It is found by the
// others, with all that there is of it.
func TestHidden(t *testing.T) {
	n := nodes.Bundled(t)
	m := n.set.Find("veth")
	p := newPatched(n)
	for _, path := range []string{"list", "mkobj.kobj.entry"} {
		f, err := n.K.Symbols().Field("module", path)
		if err != nil {
			t.Fatal(err)
		}
		p.unlink(t, n, m.Address+vmem.VirtAddr(f.Offset))
	}
	s := p.open(t, n.K.Symbols())
	if len(s.Gaps()) > 0 {
		t.Error(s.Gaps())
	}
	for _, o := range s.Modules() {
		if (o.Name == "veth") != o.Hidden() {
			t.Errorf("%s is hidden from %v", o.Name, o.Missing)
		}
	}
	got := s.Find("veth")
	if got == nil || got.Missing != InList|InKobjects || got.Sources != InTree|InBugList|InBTF|InMemory {
		t.Fatalf("%+v", got)
	}
	if diff := gocmp.Diff(m, got, cmpopts.IgnoreFields(Module{}, "Sources", "Missing")); diff != "" {
		t.Error(diff)
	}
	if f, err := s.Types("veth"); err != nil || !f.HasField("veth_priv", "peer") {
		t.Errorf("types: %v", err)
	}
}

// withoutSymbols returns symbols that lack some, as those of a kernel whose kallsyms has no
// data.
func withoutSymbols(t *testing.T, f *isf.File, names ...string) *isf.File {
	t.Helper()
	drop := map[string]bool{}
	for _, name := range names {
		drop[name] = true
	}
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
		if !drop[s.Name] {
			c.Symbols = append(c.Symbols, *s)
		}
	}
	out, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWithoutDataSymbols finds the same modules where no symbol leads to them.
func TestWithoutDataSymbols(t *testing.T) {
	n := nodes.Bundled(t)
	symbols := withoutSymbols(t, n.K.Symbols(), "modules", "mod_tree", "module_kset", "module_bug_list", "btf_modules")
	s := newPatched(n).open(t, symbols)
	byAddress := cmpopts.SortSlices(func(a, b *Module) bool { return a.Address < b.Address })
	if diff := gocmp.Diff(n.set.Modules(), s.Modules(), byAddress, cmpopts.IgnoreFields(Module{}, "Sources", "Missing")); diff != "" {
		t.Errorf("(-with symbols +without)\n%s", diff)
	}
	for _, m := range s.Modules() {
		if want := ExpectedSources &^ InTree; m.Sources&^InUses != want || m.Missing != 0 {
			t.Errorf("%s is in %v, hidden from %v", m.Name, m.Sources, m.Missing)
		}
	}
	if _, err := s.Types("vsock"); !errors.Is(err, kstruct.ErrUnsupported) {
		t.Errorf("types without their list: %v", err)
	}
}

// TestDamage: a list that leads nowhere costs nothing, since the others have the modules.
func TestDamage(t *testing.T) {
	n := nodes.Bundled(t)
	head, err := n.K.Symbol("modules")
	if err != nil {
		t.Fatal(err)
	}
	p := newPatched(n)
	p.put(t, n, head, 0xffff888000000000)
	p.put(t, n, head+8, 0)
	s := p.open(t, n.K.Symbols())
	if len(s.Gaps()) == 0 {
		t.Error("no gap")
	}
	if len(s.Modules()) != len(n.set.Modules()) {
		t.Errorf("%d of %d modules", len(s.Modules()), len(n.set.Modules()))
	}
	for _, m := range s.Modules() {
		if m.Hidden() { // a view that is not whole says nothing of what it lacks
			t.Errorf("%s is hidden from %v", m.Name, m.Missing)
		}
	}
}
