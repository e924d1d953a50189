package fdinfo

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Reader reads the open files of one kernel. It is immutable and safe for concurrent use.
type Reader struct {
	k       *linux.Kernel
	mem     *vmem.AddressSpace
	objects *kstruct.Space
	views   *views
}

// New returns a Reader. What the kernel's types lack is an error of what needs it.
func New(k *linux.Kernel) *Reader {
	return &Reader{k: k, mem: k.Space(), objects: k.Objects(), views: bindViews(k.Symbols())}
}

// A fileStruct is struct file (include/linux/fs.h).
type fileStruct struct {
	Pos     int64         `kernel:"f_pos"`
	Flags   uint32        `kernel:"f_flags"`
	Mode    uint32        `kernel:"f_mode"`
	Inode   vmem.VirtAddr `kernel:"f_inode"`
	Mount   vmem.VirtAddr `kernel:"f_path.mnt"`
	Private vmem.VirtAddr `kernel:"private_data"`
}

// Bits of file.f_mode.
const (
	modeRead  = 1
	modeWrite = 2
)

// An inodeStruct is struct inode.
type inodeStruct struct {
	Super   vmem.VirtAddr `kernel:"i_sb"`
	Number  uint64        `kernel:"i_ino"`
	Mode    uint16        `kernel:"i_mode"`
	Private vmem.VirtAddr `kernel:"i_private"`
	Aliases vmem.VirtAddr `kernel:"i_dentry.first"`
	Pipe    vmem.VirtAddr `kernel:"i_pipe"`
	Locks   vmem.VirtAddr `kernel:"i_flctx,optional"` // if CONFIG_FILE_LOCKING
}

type views struct {
	file  *kstruct.View[fileStruct]
	inode *kstruct.View[inodeStruct]
	dev   *kstruct.Field[uint32] // of super_block
	mnt   kstruct.Member         // of mount: its vfsmount
	mntID *kstruct.Field[int32]
	err   error

	alias  kstruct.Member                // of dentry: the link in the list of an inode's
	fdt    *kstruct.Field[vmem.VirtAddr] // of files_struct
	files  *kstruct.Field[vmem.VirtAddr] // of task_struct
	onExec *kstruct.Field[vmem.VirtAddr] // close_on_exec of fdtable
	magic  *kstruct.Field[uint64]        // of super_block

	anon    anonViews
	notify  notifyViews
	locks   lockViews
	pipes   pipeViews
	sockets socketViews
}

func bindViews(types *isf.File) *views {
	v := new(views)
	b := kstruct.NewBinder(types)
	v.file = kstruct.Bind[fileStruct](b, "file")
	v.inode = kstruct.Bind[inodeStruct](b, "inode")
	v.dev = kstruct.BindField[uint32](b, "super_block", "s_dev")
	v.mnt = kstruct.BindMember(b, "mount", "mnt")
	v.mntID = kstruct.BindField[int32](b, "mount", "mnt_id")
	v.files = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "files")
	v.fdt = kstruct.BindField[vmem.VirtAddr](b, "files_struct", "fdt")
	v.onExec = kstruct.BindField[vmem.VirtAddr](b, "fdtable", "close_on_exec")
	v.magic = kstruct.BindField[uint64](b, "super_block", "s_magic")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.alias = kstruct.BindOptionalMember(b, "dentry", "d_alias", "d_u.d_alias")
	v.anon, v.notify, v.locks, v.pipes, v.sockets = bindAnon(types), bindNotify(types), bindLocks(types), bindPipes(types), bindSockets(types)
	return v
}

// lost makes a Gap of an error about an object; nil stays nil.
func lost(object string, addr vmem.VirtAddr, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[vmem.Gap](err); ok {
		return err
	}
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// cause returns err, and where it says no more than that something was not bound, what the types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// file reads a struct file and its inode.
func (r *Reader) file(addr vmem.VirtAddr) (f fileStruct, i inodeStruct, err error) {
	if !plausible(addr) {
		return f, i, corrupt("file pointer %v", addr)
	}
	if f, err = r.views.file.Load(r.mem, addr); err != nil {
		return f, i, cause(err, r.views.err)
	}
	i, err = r.inode(f.Inode)
	return f, i, err
}

func (r *Reader) inode(addr vmem.VirtAddr) (i inodeStruct, err error) {
	if !plausible(addr) {
		return i, corrupt("inode pointer %v", addr)
	}
	i, err = r.views.inode.Load(r.mem, addr)
	return i, cause(err, r.views.err)
}

// device returns the number of an inode's device, as the kernel has it: the major number above 20 bits of the minor one.
func (r *Reader) device(super vmem.VirtAddr) (uint32, error) {
	if !plausible(super) {
		return 0, corrupt("super_block pointer %v", super)
	}
	n, err := r.views.dev.Load(r.mem, super)
	return n, cause(err, r.views.err)
}
