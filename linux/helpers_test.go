package linux

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// base is where the test kernels keep their objects, mapped to physical 0x200000.
const base = vmem.VirtAddr(0xffff888000200000)

// A testKernel is a Kernel over hand-made memory of one 2 MiB page, the first 64 KiB of
// which are captured and zero.
type testKernel struct {
	*Kernel
	t      *testing.T
	mem    *pagetest.Memory
	tables *pagetest.Tables
	root   vmem.PhysAddr
}

// newTestKernel returns a kernel with the types of the bundled node, which are those of
// 6.1.
func newTestKernel(t *testing.T) *testKernel {
	t.Helper()
	return newTestKernelOf(t, openBundled(t).symbols)
}

func newTestKernelOf(t *testing.T, types *isf.File) *testKernel {
	t.Helper()
	mem := new(pagetest.Memory)
	tables := pagetest.NewTables(mem, 4, 0x1000)
	tables.Map(base, 0x200000, 2, pagetest.Present|pagetest.Write)
	mem.Zero(0x200000, 64<<10)
	k := &testKernel{t: t, mem: mem, tables: tables, root: tables.Root()}
	k.open(types)
	return k
}

func (k *testKernel) open(types *isf.File) {
	k.t.Helper()
	phys := vmem.NewPhysical(k.mem)
	space, err := newSpace(phys, k.root, 4, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	k.Kernel = newKernel(phys, space, types, 0)
	k.views = newViews(types)
	k.info.PageTableLevels = 4
}

// reopen makes what was written after something was read show.
func (k *testKernel) reopen() { k.open(k.symbols) }

// put writes words from off on, counted from base.
func (k *testKernel) put(off uint64, words ...uint64) {
	for i, w := range words {
		k.mem.PutUint64(vmem.PhysAddr(0x200000+off)+vmem.PhysAddr(8*i), w)
	}
}

// text writes a string and a NUL.
func (k *testKernel) text(off uint64, s string) {
	k.mem.Write(vmem.PhysAddr(0x200000+off), append([]byte(s), 0))
}

// set writes a member of the structure at off, of the size that the kernel has for it.
func (k *testKernel) set(off uint64, typ, path string, value uint64) {
	k.t.Helper()
	f, err := k.symbols.Field(typ, path)
	if err != nil {
		k.t.Fatal(err)
	}
	size, err := k.symbols.SizeOf(f.Type)
	if err != nil || size > 8 {
		k.t.Fatalf("%s.%s has %d bytes: %v", typ, path, size, err)
	}
	k.mem.Write(vmem.PhysAddr(0x200000+off+f.Offset), binary.LittleEndian.AppendUint64(nil, value)[:size])
}

// setText writes a member that is an array of characters.
func (k *testKernel) setText(off uint64, typ, path, text string) {
	k.t.Helper()
	k.text(k.offset(off, typ, path), text)
}

// offset returns where a member of the structure at off is.
func (k *testKernel) offset(off uint64, typ, path string) uint64 {
	k.t.Helper()
	f, err := k.symbols.Field(typ, path)
	if err != nil {
		k.t.Fatal(err)
	}
	return off + f.Offset
}

// link makes a list of the nodes, the head first.
func (k *testKernel) link(nodes ...uint64) {
	for i, n := range nodes {
		k.put(n, at(nodes[(i+1)%len(nodes)]), at(nodes[(i+len(nodes)-1)%len(nodes)]))
	}
}

// task returns a task whose task_struct is at off.
func (k *testKernel) task(off uint64) *Task {
	return &Task{Addr: base + vmem.VirtAddr(off), k: k.Kernel, PID: 7, TGID: 7, Comm: "test"}
}

// at returns an address counted from base.
func at(off uint64) uint64 { return uint64(base) + off }

var pointer = &isf.Type{Kind: isf.KindPointer, Elem: &isf.Type{Kind: isf.KindVoid}}

// changed returns types in which change has made another kernel's of the structures of
// the given names. What change makes of a structure without a name is added.
func changed(t testing.TB, types *isf.File, change func(*isf.UserType), names ...string) *isf.File {
	t.Helper()
	var c isf.Contents
	for _, name := range names {
		u, err := types.UserType(name)
		if err != nil {
			t.Fatal(err)
		}
		with := *u
		with.Fields = slices.Clone(u.Fields)
		change(&with)
		c.Types = append(c.Types, with)
	}
	f, err := isf.NewOver(types, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// without returns types that lack structures.
func without(t *testing.T, types *isf.File, names ...string) *isf.File {
	t.Helper()
	c := contents(types)
	c.Types = slices.DeleteFunc(c.Types, func(u isf.UserType) bool { return slices.Contains(names, u.Name) })
	f, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// drop takes members away.
func drop(u *isf.UserType, names ...string) {
	u.Fields = slices.DeleteFunc(u.Fields, func(f isf.Field) bool { return slices.Contains(names, f.Name) })
}

// add adds a member.
func add(u *isf.UserType, name string, offset uint64, typ *isf.Type) {
	u.Fields = append(u.Fields, isf.Field{Name: name, Offset: offset, Type: typ})
}

// collect returns what a walk yields without an error, and its errors.
func collect[T any](walk iter.Seq2[T, error]) (found []T, errs []error) {
	for v, err := range walk {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, v)
	}
	return found, errs
}

// checkGaps checks that errors are Gaps for the wanted reasons.
func checkGaps(t *testing.T, errs []error, want ...error) {
	t.Helper()
	for i, err := range errs {
		if _, ok := errors.AsType[vmem.Gap](err); !ok {
			t.Errorf("%v is no Gap", err)
		}
		if i < len(want) && !errors.Is(err, want[i]) {
			t.Errorf("gap %d: %v, want %v", i, err, want[i])
		}
	}
	if len(errs) != len(want) {
		t.Errorf("gaps %v, want %v", errs, want)
	}
}
