package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
)

// objectsOf returns the structures that belong to a task of the bundled node, with their
// types' sizes.
func objectsOf(t testing.TB, n *node, task vmem.VirtAddr) []vmem.Range[vmem.VirtAddr] {
	t.Helper()
	var all []vmem.Range[vmem.VirtAddr]
	add := func(typ string, addr vmem.VirtAddr) {
		u, err := n.symbols.UserType(typ)
		if err != nil {
			t.Fatal(err)
		}
		if addr != 0 {
			all = append(all, vmem.Range[vmem.VirtAddr]{Start: addr, Size: u.Size})
		}
	}
	follow := func(typ, path string, base vmem.VirtAddr) vmem.VirtAddr {
		p, err := n.k.Struct(typ, base).At(path).Pointer()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	add("task_struct", task)
	for member, typ := range map[string]string{
		"mm": "mm_struct", "files": "files_struct", "fs": "fs_struct", "nsproxy": "nsproxy", "thread_pid": "pid",
		"real_cred": "cred", "cgroups": "css_set", "signal": "signal_struct",
	} {
		add(typ, follow("task_struct", member, task))
	}
	add("mnt_namespace", follow("nsproxy", "mnt_ns", follow("task_struct", "nsproxy", task)))
	add("fdtable", follow("files_struct", "fdt", follow("task_struct", "files", task)))
	exe := follow("mm_struct", "exe_file", follow("task_struct", "mm", task))
	add("file", exe)
	add("dentry", follow("file", "f_path.dentry", exe))
	add("vfsmount", follow("file", "f_path.mnt", exe))
	return all
}

// FuzzTask overwrites words of the structures of one task, with addresses of others and
// with anything, and reads all there is of it. Each read must end, and each error be a Gap
// with a reason.
func FuzzTask(f *testing.F) {
	n := openBundled(f)
	var task vmem.VirtAddr
	for p, err := range n.k.Processes(context.Background()) {
		if err == nil && p.PID == 1 {
			task = p.Addr
		}
	}
	objects := objectsOf(f, n, task)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 8, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{10, 0, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0})
	f.Add([]byte{4, 16, 0, 2, 8, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.mem)
		for ; len(edits) >= 12; edits = edits[12:] {
			object := objects[int(edits[0])%len(objects)]
			at := object.Start + vmem.VirtAddr(uint64(binary.LittleEndian.Uint16(edits[1:]))%object.Size&^7)
			value := binary.LittleEndian.Uint64(edits[4:])
			switch edits[3] % 3 {
			case 1:
				value = uint64(objects[value%uint64(len(objects))].Start)
			case 2:
				value = uint64(at) + value%4096&^7 // into itself
			}
			n.put(t, m, at, value)
		}
		p, err := n.over(t, m).task(task)
		if err != nil {
			return
		}
		readAll(t, p)
	})
}

// over returns the kernel of the node over damaged memory, without looking for it.
func (n *node) over(t testing.TB, m vmem.Memory) *Kernel {
	t.Helper()
	phys := vmem.NewPhysical(m)
	space, err := newSpace(phys, n.k.info.Root, n.k.info.PageTableLevels, n.k.mask)
	if err != nil {
		t.Fatal(err)
	}
	k := newKernel(phys, space, n.symbols, n.k.info.KASLRShift)
	k.views, k.mask, k.swap, k.info = n.k.views, n.k.mask, n.k.swap, n.k.info
	if err := k.anchor(); err != nil {
		t.Fatal(err)
	}
	return k
}

// readAll reads all there is of a task.
func readAll(t *testing.T, p *Task) {
	t.Helper()
	ctx := t.Context()
	check := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if g, ok := errors.AsType[vmem.Gap](err); err != nil && !errors.Is(err, ErrNone) && (!ok || g.Err == nil || g.Object == "" || g.Reason() == "") {
				t.Fatalf("%#v is no Gap with a reason", err)
			}
		}
	}
	_, err := p.Cred()
	check(err)
	_, err = p.Namespaces()
	check(err)
	_, err = p.NamespacedPIDs()
	check(err)
	for _, name := range []func() (string, error){p.UTSName, p.Cwd, p.Root, p.Exe} {
		_, err := name()
		check(err)
	}
	_, errs := collect(p.Threads(ctx))
	check(errs...)
	_, errs = collect(p.Files(ctx))
	check(errs...)
	_, errs = collect(p.Mounts(ctx))
	check(errs...)
	_, errs = collect(p.CgroupPaths(ctx))
	check(errs...)
	mm, err := p.MM()
	check(err)
	if err != nil {
		return
	}
	_, errs = collect(mm.VMAs(ctx))
	check(errs...)
	_, errs = collect(mm.Args(ctx))
	check(errs...)
	_, errs = collect(mm.Env(ctx))
	check(errs...)
}
