package linux

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Where the tests keep files.
const (
	filesAt  = 0x2000
	tableAt  = 0x2800
	openAt   = 0x3400 // the bitmaps of the table
	arrayAt  = 0x3800
	fileAt   = 0x6200
	vmountAt = 0x7000 // a struct mount, the root of the tree
	inodeAt  = 0x8000
	opsAt    = 0x8800 // dentry_operations
)

// newFiles returns a kernel with a task that has a descriptor table without files, and a
// file system with a root and a directory.
func newFiles(t *testing.T, types *isf.File) *testKernel {
	k := newTestKernelOf(t, types)
	k.set(taskAt, "task_struct", "files", at(filesAt))
	k.set(filesAt, "files_struct", "fdt", at(tableAt))
	k.set(tableAt, "fdtable", "max_fds", 64)
	k.set(tableAt, "fdtable", "fd", at(arrayAt))
	k.set(tableAt, "fdtable", "open_fds", at(openAt))
	k.set(tableAt, "fdtable", "close_on_exec", at(openAt+8))
	k.set(filesAt, "files_struct", "count.counter", 1)
	k.dentry(rootAt, rootAt, "/")
	k.dentry(dirAt, rootAt, "dir")
	k.set(vmountAt, "mount", "mnt_parent", at(vmountAt))
	k.set(vmountAt, "mount", "mnt.mnt_root", at(rootAt))
	k.set(vmountAt, "mount", "mnt.mnt_sb", at(superAt))
	k.set(vmountAt, "mount", "mnt_mountpoint", at(rootAt))
	k.mountLists(vmountAt)
	k.set(inodeAt, "inode", "i_sb", at(superAt))
	k.set(inodeAt, "inode", "i_data.host", at(inodeAt))
	return k
}

// setOpen sets the bit of a descriptor.
func (k *testKernel) setOpen(n int) {
	var b [1]byte
	at := vmem.PhysAddr(0x200000 + openAt + n/8)
	if _, err := k.mem.ReadAt(b[:], int64(at)); err != nil {
		k.t.Fatal(err)
	}
	k.mem.Write(at, []byte{b[0] | 1<<(n%8)})
}

// addFile writes a struct file for a dentry, as the nth of the table.
func (k *testKernel) addFile(n int, dentry uint64) uint64 {
	off := fileAt + uint64(n)*0x100
	k.put(arrayAt+uint64(8*n), at(off))
	k.setOpen(n)
	k.set(off, "file", "f_path.mnt", k.offset(uint64(base)+vmountAt, "mount", "mnt"))
	k.set(off, "file", "f_path.dentry", at(dentry))
	return off
}

// Files without a path have a name that their file system makes.
func TestDynamicNames(t *testing.T) {
	for _, tt := range []struct {
		magic uint64
		name  string
		more  func(*testKernel)
		want  string
	}{
		{magicSock, "", nil, "socket:[4711]"},
		{magicPipe, "", nil, "pipe:[4711]"},
		{magicPID, "", nil, "anon_inode:[pidfd]"},
		{magicAnonInode, "[eventpoll]", nil, "anon_inode:[eventpoll]"},
		{magicDMABuf, "dmabuf", nil, "/dmabuf:"},
		{magicDMABuf, "dmabuf", func(k *testKernel) {
			k.set(dirAt, "dentry", "d_fsdata", at(0x9000))
			k.set(0x9000, "dma_buf", "name", at(0x9800))
			k.text(0x9800, "frame buffer")
		}, "/dmabuf:frame buffer"},
		{0x01021994, "memfd:update", nil, "/memfd:update (deleted)"},
		{0, "", nil, ""}, // a pipe whose super_block is overwritten
		{magicNS, "", func(k *testKernel) {
			k.set(inodeAt, "inode", "i_private", at(0x9000))
			k.set(0x9000, "ns_common", "inum", 4026531840)
			k.set(0x9000, "ns_common", "ops", at(0x9100))
			k.set(0x9100, "proc_ns_operations", "name", at(0x9200))
			k.text(0x9200, "net")
		}, "net:[4026531840]"},
	} {
		k := newFiles(t, openBundled(t).symbols)
		k.dentry(dirAt, dirAt, tt.name)
		k.set(dirAt, "dentry", "d_op", at(opsAt))
		k.set(dirAt, "dentry", "d_inode", at(inodeAt))
		k.set(dirAt, "dentry", "d_fsdata", at(0x9000))
		k.set(opsAt, "dentry_operations", "d_dname", 0xffffffff81234560)
		k.set(superAt, "super_block", "s_magic", tt.magic)
		k.set(inodeAt, "inode", "i_ino", 4711)
		k.set(inodeAt, "inode", "i_mode", map[uint64]uint64{magicSock: 0o140777, magicPipe: 0o010600}[tt.magic])
		if tt.more != nil {
			tt.more(k)
		}
		k.addFile(3, dirAt)
		fds, errs := collect(k.task(taskAt).Files(t.Context()))
		if tt.want == "" {
			checkGaps(t, errs, kstruct.ErrCorrupt)
			continue
		}
		checkGaps(t, errs)
		if len(fds) != 1 || fds[0].FD != 3 || fds[0].Path != tt.want || fds[0].Addr != base+fileAt+0x300 {
			t.Errorf("magic %#x: %+v, want %s", tt.magic, fds, tt.want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testKernel)
		want   string
		err    error
	}{
		{"a directory", func(*testKernel) {}, "/dir", nil},
		{"deleted", func(k *testKernel) { k.set(dirAt, "dentry", "d_hash.pprev", 0) }, "/dir (deleted)", nil},
		{"escaped from its mount", func(k *testKernel) { k.dentry(dirAt, dirAt, "/") }, "/", nil},
		{"a name that nothing makes", func(k *testKernel) { k.dentry(dirAt, dirAt, "inotify") }, "", kstruct.ErrCorrupt},
		{"a loop", func(k *testKernel) { k.dentry(dirAt, dirAt+0x100, "a"); k.dentry(dirAt+0x100, dirAt, "b") }, "", kstruct.ErrTooLong},
		{"a name that is too long", func(k *testKernel) { k.set(dirAt, "dentry", "d_name.len", 256) }, "", kstruct.ErrCorrupt},
		{"a name that is lost", func(k *testKernel) { k.set(dirAt, "dentry", "d_name.name", at(1<<20)) }, "", vmem.ErrNotCaptured},
		{"a parent that is lost", func(k *testKernel) { k.dentry(dirAt, 1<<20, "dir") }, "", vmem.ErrNotCaptured},
		{"a parent that is another", func(k *testKernel) { k.set(dirAt, "dentry", "d_parent", at(dirAt+0x200)) }, "", kstruct.ErrCorrupt},
		{"no parent", func(k *testKernel) { k.set(dirAt, "dentry", "d_parent", 0) }, "", kstruct.ErrCorrupt},
		{"another name", func(k *testKernel) { k.setText(dirAt, "dentry", "d_iname", "dor") }, "", kstruct.ErrCorrupt},
		{"a name hashed otherwise", func(k *testKernel) {
			k.set(dirAt, "dentry", "d_flags", dcacheOpHash)
			k.set(dirAt, "dentry", "d_name.hash", 1)
		}, "/dir", nil},
		{"the copy of another", func(k *testKernel) { k.set(dirAt, "dentry", "d_name.name", at(rootAt+56)) }, "", kstruct.ErrCorrupt},
		{"a file without a name", func(k *testKernel) {
			k.dentry(dirAt, rootAt, "#12")
			k.set(dirAt, "dentry", "d_name.hash", 0)
			k.set(dirAt, "dentry", "d_hash.pprev", 0)
		}, "/#12 (deleted)", nil},
		{"of another file system", func(k *testKernel) { k.set(dirAt, "dentry", "d_sb", at(superAt+8)) }, "", kstruct.ErrCorrupt},
		{"without an inode", func(k *testKernel) { k.set(dirAt, "dentry", "d_inode", 0) }, "", kstruct.ErrCorrupt},
		{"a mount without a parent", func(k *testKernel) { k.set(vmountAt, "mount", "mnt_parent", 0) }, "", kstruct.ErrCorrupt},
		{"a mount on another's root", func(k *testKernel) { k.set(vmountAt, "mount", "mnt_mountpoint", at(dirAt)) }, "", kstruct.ErrCorrupt},
		{"a mount in no list", func(k *testKernel) {
			k.set(vmountAt, "mount", "mnt_mounts.next", 0)
			k.set(vmountAt, "mount", "mnt_child.next", at(rootAt))
		}, "", kstruct.ErrCorrupt},
		{"a mount in one list", func(k *testKernel) { k.set(vmountAt, "mount", "mnt_mounts.next", 0) }, "/dir", nil},
		{"operations that are lost", func(k *testKernel) { k.set(dirAt, "dentry", "d_op", at(1<<20)) }, "", vmem.ErrNotCaptured},
		{"operations without a name", func(k *testKernel) { k.set(dirAt, "dentry", "d_op", at(opsAt)) }, "/dir", nil},
		{"no file", func(k *testKernel) { k.put(arrayAt, 0x1234) }, "", kstruct.ErrCorrupt},
	} {
		k := newFiles(t, openBundled(t).symbols)
		k.addFile(0, dirAt)
		tt.change(k)
		var got FD
		var lost error
		for fd, err := range k.task(taskAt).Files(t.Context()) {
			got, lost = fd, err
		}
		if got.Path != tt.want || !errors.Is(lost, tt.err) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, got.Path, lost, tt.want, tt.err)
		}
	}
}

// A path of many long names outgrows what is kept for it.
func TestLongPath(t *testing.T) {
	k := newFiles(t, openBundled(t).symbols)
	name := strings.Repeat("n", 200)
	parent := uint64(rootAt)
	for i := range 20 {
		off := uint64(0x9000 + i*0x200)
		k.dentry(off, parent, name)
		parent = off
	}
	k.addFile(0, parent)
	got, err := k.filePath(base + fileAt)
	if want := strings.Repeat("/"+name, 20); got != want || err != nil {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestFilesLost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testKernel)
		found  int
		gaps   []error
	}{
		{"not exited, and without", func(k *testKernel) { k.set(taskAt, "task_struct", "files", 0) }, 0, []error{kstruct.ErrCorrupt}},
		{"files_struct", func(k *testKernel) { k.set(taskAt, "task_struct", "files", at(1<<20)) }, 0, []error{vmem.ErrNotCaptured}},
		{"fdtable", func(k *testKernel) { k.set(filesAt, "files_struct", "fdt", at(1<<20)) }, 0, []error{vmem.ErrNotCaptured}},
		{"too many", func(k *testKernel) {
			k.set(tableAt, "fdtable", "max_fds", maxFDs+1)
			k.set(tableAt, "fdtable", "close_on_exec", 0)
		}, 0, []error{kstruct.ErrCorrupt}},
		{"more than the bitmap has", func(k *testKernel) { k.set(tableAt, "fdtable", "max_fds", 1<<24); k.put(arrayAt+64*8, at(fileAt)) }, 1, []error{ErrDisagree}},
		{"more than the table of a files_struct has", func(k *testKernel) {
			own := k.offset(filesAt, "files_struct", "fdtab")
			k.set(filesAt, "files_struct", "fdt", at(own))
			for _, member := range []string{"fd", "open_fds", "close_on_exec"} {
				k.set(own, "fdtable", member, at(map[string]uint64{"fd": arrayAt, "open_fds": openAt, "close_on_exec": openAt + 32}[member]))
			}
			k.set(own, "fdtable", "max_fds", 256)
		}, 1, []error{ErrDisagree}},
		{"not open", func(k *testKernel) { k.put(arrayAt+5*8, at(fileAt), at(fileAt)) }, 1, []error{kstruct.ErrCorrupt}},
		{"being opened", func(k *testKernel) { k.setOpen(7) }, 1, nil},
		{"without files", func(k *testKernel) { k.setOpen(7); k.setOpen(8) }, 1, []error{ErrDisagree}},
		{"bitmap", func(k *testKernel) {
			k.set(tableAt, "fdtable", "open_fds", at(1<<20))
			k.set(tableAt, "fdtable", "close_on_exec", at(1<<20+8))
		}, 1, []error{vmem.ErrNotCaptured}},
		{"more than are told", func(k *testKernel) { k.addFile(1, dirAt); k.addFile(2, dirAt); k.limits.FDs = 2 }, 2, []error{kstruct.ErrTooMany}},
		{"paths that are too long", func(k *testKernel) {
			k.dentry(dirAt, dirAt+0x100, "a")
			k.dentry(dirAt+0x100, dirAt, "b")
			for n := range 5 {
				k.addFile(n, dirAt)
			}
			k.limits.Gaps = 2
		}, 3, []error{kstruct.ErrTooLong, kstruct.ErrTooLong, kstruct.ErrTooMany}},
		{"array", func(k *testKernel) { k.set(tableAt, "fdtable", "fd", at(64<<10-16)); k.put(64<<10-16, at(fileAt)) }, 1, []error{vmem.ErrNotCaptured}},
		{"overwritten", func(k *testKernel) {
			for n := range uint64(64) {
				k.put(arrayAt+8*n, 0x4141414141414141)
				k.setOpen(int(n))
			}
		}, 0, append(repeat(kstruct.ErrCorrupt, maxBadFDs), kstruct.ErrCorrupt)},
	} {
		k := newFiles(t, openBundled(t).symbols)
		k.addFile(0, dirAt)
		tt.change(k)
		fds, errs := collect(k.task(taskAt).Files(t.Context()))
		if len(fds) != tt.found {
			t.Errorf("%s: %d files, want %d", tt.name, len(fds), tt.found)
		}
		checkGaps(t, errs, tt.gaps...)
	}
	k := newFiles(t, openBundled(t).symbols)
	k.set(taskAt, "task_struct", "files", 0)
	exited := k.task(taskAt)
	exited.State = Zombie
	if fds, errs := collect(exited.Files(t.Context())); len(fds)+len(errs) > 0 {
		t.Errorf("exited: %v, %v", fds, errs)
	}
}

func repeat(err error, n int) (all []error) {
	for range n {
		all = append(all, err)
	}
	return all
}

// A file below an overlay shows the overlay's path in maps, since 6.5.
func TestUserPath(t *testing.T) {
	const size = 0x200
	types := backingTypes(t, size)
	build := func(mode uint64, super uint64) *testKernel {
		k := newFiles(t, types)
		k.dentry(0x9000, rootAt, "merged")
		k.addFile(0, dirAt)
		k.set(fileAt, "file", "f_mode", mode)
		k.put(fileAt+size, k.offset(uint64(base)+vmountAt, "mount", "mnt"), at(0x9000))
		k.set(0x9000, "dentry", "d_sb", super)
		return k
	}
	for name, tt := range map[string]struct {
		mode, super uint64
		want        string
	}{
		"backing":                    {1 << 25, at(superAt), "/merged"},
		"backing, by the other bit":  {1 << 24, at(superAt), "/merged"},
		"an ordinary file":           {0, at(superAt), "/dir"},
		"the bit means other things": {1 << 24, at(superAt + 8), "/dir"},
	} {
		got, err := build(tt.mode, tt.super).userPath(base + fileAt)
		if got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tt.want)
		}
	}
}

// backingTypes adds struct backing_file, whose user_path is behind its struct file.
func backingTypes(t *testing.T, size uint64) *isf.File {
	t.Helper()
	c := contents(openBundled(t).symbols)
	c.Types = append(c.Types, isf.UserType{Name: "backing_file", Kind: isf.KindStruct, Size: size + 16, Fields: []isf.Field{
		{Name: "file", Type: &isf.Type{Kind: isf.KindStruct, Name: "file"}},
		{Name: "user_path", Offset: size, Type: &isf.Type{Kind: isf.KindStruct, Name: "path"}},
	}})
	f, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPathBuffer(t *testing.T) {
	var b pathBuffer
	if b.String() != "/" {
		t.Errorf("empty: %q", &b)
	}
	want := ""
	for i := range 600 {
		name := fmt.Sprintf("%d", i)
		b.component([]byte(name + "\x00stale"))
		want = "/" + name + want
	}
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	if b.clear(); b.String() != "/" {
		t.Errorf("cleared: %q", &b)
	}
}

func TestFilesCancelled(t *testing.T) {
	k := newFiles(t, openBundled(t).symbols)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, errs := collect(k.task(taskAt).Files(ctx)); len(got) > 0 || len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("%v, %v", got, errs)
	}
}

// Descriptors tells the same as Files, but for the paths.
func TestDescriptors(t *testing.T) {
	n := 0
	for p, err := range openBundled(t).k.Processes(t.Context()) {
		if err != nil {
			continue
		}
		want, _ := collect(p.Files(t.Context()))
		for i := range want {
			want[i].Path = ""
		}
		got, errs := collect(p.Descriptors(t.Context()))
		if diff := cmp.Diff(want, got); diff != "" || errs != nil {
			t.Errorf("%v: %v (-want +got):\n%s", p, errs, diff)
		}
		n += len(got)
	}
	if n == 0 {
		t.Error("no process has a file open")
	}
}
