package ktext_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// TestClean: on a node where nobody changed code there is no modification, neither of the kernel nor of its modules, and all
// of it was compared. Nodes whose names end in a word behind "-root" have code that was changed.
func TestClean(t *testing.T) {
	for _, n := range nodes(t) {
		if n.tampered() {
			continue
		}
		t.Run(n.name, func(t *testing.T) {
			k := n.open(t, n.mem)
			set, err := module.Open(t.Context(), k, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, gaps, err := ktext.Compare(t.Context(), k, n.build, &ktext.Options{Modules: set, File: n.file})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range r.Modifications {
				t.Errorf("%v %v\n\twas %q\n\tis  %q", m.Site, m, m.Was, m.Is)
			}
			for _, g := range gaps {
				if !strings.Contains(g.Error(), errNoFile.Error()) {
					t.Error(g)
				}
			}
			checkAreas(t, r, set, k)
		})
	}
}

// checkAreas checks that all code was compared, as symbols and modules say where there is some.
func checkAreas(t *testing.T, r *ktext.Report, set *module.Set, k *linux.Kernel) {
	t.Helper()
	compared, lost := map[string]uint64{}, uint64(0)
	for _, a := range r.Areas {
		if strings.HasPrefix(a.Section, ".text") {
			compared[a.Module] += a.Range.Size
		}
		lost += a.Lost
	}
	if lost > 0 {
		t.Errorf("%d bytes are not in the image", lost)
	}
	start, _ := k.Symbol("_stext")
	end, _ := k.Symbol("_etext")
	if want := uint64(end - start); compared[""] < want {
		t.Errorf("%d bytes of %d of the kernel's code were compared", compared[""], want)
	}
	patched := 0
	for _, p := range r.Patched {
		patched += p.Count
	}
	if patched < 10000 {
		t.Errorf("%d places are patched: %v", patched, r.Patched)
	}
	t.Logf("%d modules of %d, patched %v", len(compared)-1, len(set.Modules()), r.Patched)
}

// A change is bytes that were changed.
type change struct {
	at vmem.VirtAddr
	n  int
}

// TestChanges: of bytes that are overwritten at any place of the code, each is found, and nothing else.
func TestChanges(t *testing.T) {
	for i, n := range nodes(t) {
		if strings.Contains(n.name, "-root") || i > 0 && testing.Short() {
			continue
		}
		t.Run(n.name, func(t *testing.T) {
			k := n.open(t, n.mem)
			start, _ := k.Symbol("_stext")
			end, _ := k.Symbol("_etext")
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			o := &overlay{Memory: n.mem, bytes: map[int64]byte{}}
			var changes []change
			const count = 300
			step := uint64(end-start) / count
			for j := range vmem.VirtAddr(count) {
				c := change{at: start + j*vmem.VirtAddr(step) + vmem.VirtAddr(rng.Uint64N(step-64)), n: 1 + rng.IntN(16)}
				b := make([]byte, c.n)
				if _, err := k.Space().ReadVirt(b, c.at); err != nil {
					t.Fatal(err)
				}
				for x := range b {
					b[x] ^= byte(1 + rng.IntN(255))
				}
				o.write(t, k, c.at, b)
				changes = append(changes, c)
			}
			r, _, err := ktext.Compare(t.Context(), n.open(t, o), n.build, nil)
			if err != nil {
				t.Fatal(err)
			}
			compareChanges(t, k, changes, r.Modifications)
		})
	}
}

func compareChanges(t *testing.T, k *linux.Kernel, changes []change, found []ktext.Modification) {
	t.Helper()
	overlaps := func(m *ktext.Modification, c change) bool {
		return m.Address < c.at+vmem.VirtAddr(c.n) && c.at < m.Address+vmem.VirtAddr(m.Length)
	}
	for _, c := range changes {
		hit := false
		for i := range found {
			hit = hit || overlaps(&found[i], c)
		}
		if !hit {
			b := make([]byte, c.n+8)
			_, _ = k.Space().ReadVirt(b, c.at-4)
			t.Errorf("%d bytes that were changed at %v (%x before) were not found", c.n, c.at, b)
		}
	}
	for i := range found {
		hit := false
		for _, c := range changes {
			hit = hit || overlaps(&found[i], c)
		}
		if !hit {
			t.Errorf("nothing was changed there: %v", found[i])
		}
	}
}

// TestHooks: what rootkits write over the beginning of functions is found, named, and told where it leads to.
func TestHooks(t *testing.T) {
	n := clean(t)
	k := n.open(t, n.mem)
	target := symbol(t, k, "kernel_halt")
	rel := func(op byte, at vmem.VirtAddr) []byte {
		d := uint32(target - at - 5)
		return []byte{op, byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)}
	}
	far := []byte{0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}
	for i := range 8 {
		far[2+i] = byte(target >> (8 * i))
	}
	for _, h := range []struct {
		function string
		bytes    func(at vmem.VirtAddr) []byte
		meaning  string
	}{
		{"vfs_read", func(at vmem.VirtAddr) []byte { return rel(0xe9, at) }, "a jump to kernel_halt at the function's beginning"},
		{"vfs_write", func(at vmem.VirtAddr) []byte { return rel(0xe8, at) }, "a call of kernel_halt at the function's beginning; ftrace says"},
		{"filp_close", func(vmem.VirtAddr) []byte { return far }, "a jump to kernel_halt at the function's beginning"},
		{"vfs_getattr", func(vmem.VirtAddr) []byte { return []byte{0x31, 0xc0, 0xc3} }, "the function returns at once"},
		{"vfs_statx", func(vmem.VirtAddr) []byte { return []byte{0xcc} }, "a breakpoint that no kprobe"},
	} {
		at := symbol(t, k, h.function)
		if b, _ := k.Space().Uint32(at); b == 0xfa1e0ff3 || b == 0x001f0f66 || b == 0xd6401f0f {
			at += 4 // ENDBR64, or what took its place
		}
		o := &overlay{Memory: n.mem, bytes: map[int64]byte{}}
		o.write(t, k, at, h.bytes(at))
		r, _, err := ktext.Compare(t.Context(), n.open(t, o), n.build, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Modifications) == 0 {
			t.Errorf("%s: nothing was found", h.function)
			continue
		}
		m := r.Modifications[0]
		if name, _, _ := strings.Cut(m.Symbol, "+"); name != h.function || m.Address != at || !strings.HasPrefix(m.Meaning, h.meaning) || len(m.Is) == 0 {
			t.Errorf("%s: %v, want %q", h.function, m, h.meaning)
		}
	}
}

// TestRoot: what a stand-in of a rootkit wrote into code is found, and which module it leads to; nothing else is.
func TestRoot(t *testing.T) {
	for _, n := range nodes(t) {
		if !n.tampered() {
			continue
		}
		t.Run(n.name, func(t *testing.T) {
			k := n.open(t, n.mem)
			set, err := module.Open(t.Context(), k, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, _, err := ktext.Compare(t.Context(), k, n.build, &ktext.Options{Modules: set, File: n.file})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, m := range r.Modifications {
				t.Logf("%v was %q is %q", m, m.Was, m.Is)
				switch {
				case strings.HasPrefix(m.Symbol, "__x64_sys_getp") && strings.HasPrefix(m.Meaning, "a jump to ") && strings.Contains(m.Meaning, "in module st_text"):
					found = true
				case m.Section == ".rodata" && strings.Contains(m.Meaning, "in module st_table"), m.Section == ".rodata" && strings.Contains(m.Meaning, "in module st_seq"):
				default:
					t.Errorf("no stand-in did this: %v", m)
				}
			}
			if !found {
				t.Error("the jump to st_text was not found")
			}
		})
	}
}

func symbol(t testing.TB, k *linux.Kernel, name string) vmem.VirtAddr {
	t.Helper()
	a, err := k.Symbol(name)
	if err != nil {
		t.Skip(err)
	}
	return a
}

// TestLost: pages that are not in the image are told, and are no modification.
func TestLost(t *testing.T) {
	n := clean(t)
	k := n.open(t, n.mem)
	start, _ := k.Symbol("_stext")
	o := &holes{Memory: n.mem, lost: map[vmem.PhysAddr]bool{}}
	for i := range vmem.VirtAddr(7) {
		m, err := k.Space().Translate(start + (100+31*i)*vmem.PageSize)
		if err != nil {
			t.Fatal(err)
		}
		o.lost[m.At(start+(100+31*i)*vmem.PageSize)&^(vmem.PageSize-1)] = true
	}
	r, gaps, err := ktext.Compare(t.Context(), n.open(t, o), n.build, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Modifications {
		t.Error(m)
	}
	if len(gaps) != 1 || r.Areas[0].Lost != 7*vmem.PageSize {
		t.Errorf("lost %d bytes, gaps %v", r.Areas[0].Lost, gaps)
	}
}

// holes is memory that lacks some pages.
type holes struct {
	vmem.Memory
	lost map[vmem.PhysAddr]bool
}

func (h *holes) Ranges() (list []vmem.Range[vmem.PhysAddr]) {
	lost := make([]vmem.Range[vmem.PhysAddr], 0, len(h.lost))
	for p := range h.lost {
		lost = append(lost, vmem.Range[vmem.PhysAddr]{Start: p, Size: vmem.PageSize})
	}
	lost = vmem.NormalizeRanges(lost)
	for _, r := range h.Memory.Ranges() {
		list = append(list, vmem.SubtractRanges(r, lost)...)
	}
	return list
}

// TestOtherBuild: the vmlinux of another kernel is refused.
func TestOtherBuild(t *testing.T) {
	list := nodes(t)
	for _, n := range list[1:] {
		if n.build.BuildID() == list[0].build.BuildID() {
			continue
		}
		if _, _, err := ktext.Compare(t.Context(), n.open(t, n.mem), list[0].build, nil); err == nil {
			t.Error("no error")
		}
		return
	}
	t.Skip("there is one kernel alone")
}

// BenchmarkCompare compares the code of a kernel; its size is that of code and constant data.
func BenchmarkCompare(b *testing.B) {
	for _, n := range nodes(b) {
		b.Run(n.name, func(b *testing.B) {
			k, size := n.open(b, n.mem), uint64(0)
			for b.Loop() {
				r, _, err := ktext.Compare(b.Context(), k, n.build, nil)
				if err != nil {
					b.Fatal(err)
				}
				size = 0
				for _, a := range r.Areas {
					size += a.Range.Size
				}
			}
			b.SetBytes(int64(size))
		})
	}
}

func ExampleCompare() {
	f, err := os.Open(filepath.Join("testdata", "vmlinux"))
	if err != nil {
		fmt.Println("there is no vmlinux")
		return
	}
	defer f.Close()
	build, err := ktext.NewBuild(f)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = build // and ktext.Compare(ctx, kernel, build, nil)
	// Output: there is no vmlinux
}
