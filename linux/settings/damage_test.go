package settings

import (
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// TestDamage: a tree that leads nowhere costs what hangs in it, and is told.
func TestDamage(t *testing.T) {
	n := nodes.Bundled(t)
	root, err := n.K.Symbol("sysctl_table_root")
	if err != nil {
		t.Fatal(err)
	}
	v := bind(n.K.Symbols())
	tree := v.tree.Of(root + vmem.VirtAddr(v.own.Offset()+v.dir.Offset()))
	for _, value := range []uint64{0xffff888000000008, uint64(tree), 0x41} {
		m := smeartest.New(n.Mem)
		at, err := n.K.Space().Translate(tree)
		if err != nil {
			t.Fatal(err)
		}
		m.PutUint64(at.At(tree), value)
		k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: n.K.Symbols()})
		if err != nil {
			t.Fatal(err)
		}
		s, gaps, err := Read(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		lost := false
		for _, g := range gaps {
			lost = lost || g.Object == "sysctls"
		}
		if !lost || len(s.Sysctls) == 0 || len(s.Sysctls) >= len(n.out.Sysctls) || s.CorePattern.Value == "" {
			t.Errorf("%#x: %d of %d sysctls, core pattern %q, %v", value, len(s.Sysctls), len(n.out.Sysctls), s.CorePattern.Value, gaps)
		}
	}
}
