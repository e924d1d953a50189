package pagecache

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// reopen opens the files of a kernel in changed memory.
func reopen(ctx context.Context, n *node, mem vmem.Memory) (*node, error) {
	m := &node{Node: &nodetest.Node{Image: n.Image}}
	if err := m.On(mem, &linux.Options{Symbols: n.K.Symbols(), TaskScan: linux.ScanNever}); err != nil {
		return nil, err
	}
	var err error
	m.set, err = Open(ctx, m.K, &Options{Tasks: m.Tasks, Modules: n.set.opts.Modules})
	return m, err
}

// put overwrites memory at an address of the kernel.
func put(t *testing.T, n *node, m *smeartest.Memory, at vmem.VirtAddr, b []byte) {
	t.Helper()
	to, err := n.K.Space().Translate(at)
	if err != nil {
		t.Fatal(err)
	}
	m.Write(to.At(at), b)
}

// Names that no file can have, and a directory that is in itself, are gaps; what is beside them is read.
func TestHostileNames(t *testing.T) {
	n := nodes.Bundled(t)
	dir, err := n.fs(t, 1).Find("run/containerd", true)
	if err != nil {
		t.Fatal(err)
	}
	names := n.set.list(t.Context(), dir.place.dentry).names
	m := smeartest.New(n.Mem)
	view := n.set.v.dentry
	at := func(i int, field string) vmem.VirtAddr {
		off, ok := view.Offset(field)
		if !ok {
			t.Fatal(field)
		}
		return names[i].dentry + vmem.VirtAddr(off)
	}
	name := func(i int) vmem.VirtAddr {
		d, err := view.Load(n.K.Space(), names[i].dentry)
		if err != nil {
			t.Fatal(err)
		}
		return d.Name
	}
	put(t, n, m, name(0), []byte("../x"))
	put(t, n, m, name(1), []byte{0})
	put(t, n, m, at(2, "NameLen"), []byte{0, 4, 0, 0})
	put(t, n, m, at(3, "NameLen"), []byte{0, 0, 0, 0})
	damaged, err := reopen(t.Context(), n, m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	gaps := 0
	for f, err := range damaged.fs(t, 1).Walk(t.Context(), "run/containerd") {
		switch {
		case err == nil && strings.Count(f.Path, "/") == 2:
			got = append(got, strings.TrimPrefix(f.Path, "run/containerd/"))
		case err == nil:
		case !errors.Is(err, kstruct.ErrCorrupt):
			t.Error(err)
		default:
			gaps++
		}
	}
	var want []string
	for _, e := range names[4:] {
		want = append(want, e.text)
	}
	if !slices.Equal(got, want) || gaps != 4 {
		t.Errorf("%q and %d gaps, want %q and 4", got, gaps, want)
	}
}

// Damage anywhere ends in gaps, soon.
func TestDamage(t *testing.T) {
	n := nodes.Bundled(t)
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	for seed := range rounds {
		m := smeartest.New(n.Mem)
		m.Pages(rand.New(rand.NewPCG(uint64(seed), 1)), 4000)
		smeartest.Bounded(t, func(ctx context.Context) {
			damaged, err := reopen(ctx, n, m)
			if err != nil {
				return
			}
			for _, task := range damaged.Tasks {
				if task.PID != 1 {
					continue
				}
				if f, err := damaged.set.FS(ctx, task); err == nil {
					readAll(ctx, f)
				}
			}
			damaged.set.Nameless(ctx)
		})
	}
}

// readAll reads all there is.
func readAll(ctx context.Context, f *FS) {
	buf := make([]byte, 1<<16)
	for file, err := range f.Walk(ctx, ".") {
		if err != nil {
			continue
		}
		_, _ = file.Xattrs()
		_, _ = file.Target()
		if c, err := file.Content(ctx); err == nil {
			_, _ = c.ReadAt(buf, 0)
			c.Missing()
		}
	}
}

// An overlay that is its own layer is a gap.
func TestOverlayOfItself(t *testing.T) {
	n := nodes.Bundled(t)
	for _, task := range n.Tasks {
		f, err := n.set.FS(t.Context(), task)
		if err != nil {
			continue
		}
		root, err := f.Find(".", true)
		if err != nil || root.Super.FSType != "overlay" {
			continue
		}
		v := n.set.overlay
		upper, ok := v.ovl.Offset("Upper")
		if !ok {
			t.Fatal("no upper dentry")
		}
		m := smeartest.New(n.Mem)
		put(t, n, m, v.inode.Container(root.Addr)+vmem.VirtAddr(upper), binary.LittleEndian.AppendUint64(nil, uint64(root.place.dentry)))
		damaged, err := reopen(t.Context(), n, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := damaged.set.inode(root.Addr); !errors.Is(err, kstruct.ErrCorrupt) {
			t.Errorf("%v, want %v", err, kstruct.ErrCorrupt)
		}
		return
	}
	t.Error("no process has an overlay for its root")
}
