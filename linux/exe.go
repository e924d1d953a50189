package linux

import (
	"errors"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// ErrNone says that a task does not have what was asked for, as a kernel thread has no
// program and no memory of its own, and a task that has exited no working directory.
// Nothing is lost then.
var ErrNone = errors.New("the task has none")

// A fsStruct is struct fs_struct (include/linux/fs_struct.h).
type fsStruct struct {
	Root path `kernel:"root"`
	Pwd  path `kernel:"pwd"`
}

type dirViews struct {
	of  *kstruct.Field[vmem.VirtAddr] // the fs of a task_struct
	fs  *kstruct.View[fsStruct]
	err error
}

func bindDirs(types *isf.File) (v dirViews) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "fs")
	v.fs = kstruct.Bind[fsStruct](b, "fs_struct")
	v.err = b.Err()
	return v
}

// dirs returns the directories of the task at addr. The error is ErrNone if it has none.
func (k *Kernel) dirs(task vmem.VirtAddr) (fsStruct, error) {
	v := &k.views.dirs
	addr, err := v.of.Load(k.space, task)
	switch {
	case err != nil:
		return fsStruct{}, cause(err, v.err)
	case addr == 0:
		return fsStruct{}, ErrNone
	}
	fs, err := v.fs.Load(k.space, addr)
	return fs, cause(err, v.err)
}

// dirs returns the directories of the task. The error is ErrNone if it has exited.
func (t *Task) dirs() (fsStruct, error) {
	fs, err := t.k.dirs(t.Addr)
	if err == ErrNone { //nolint:errorlint // it is never wrapped
		err = t.without("fs_struct")
	}
	return fs, err
}

// Cwd returns the working directory, as the link /proc/PID/cwd. The error is [ErrNone] for
// a task that has exited, and a [vmem.Gap] otherwise.
func (t *Task) Cwd() (string, error) {
	return t.directory("working directory", func(fs *fsStruct) path { return fs.Pwd })
}

// Root returns the root directory, as the link /proc/PID/root. The error is [ErrNone] for
// a task that has exited, and a [vmem.Gap] otherwise.
func (t *Task) Root() (string, error) {
	return t.directory("root directory", func(fs *fsStruct) path { return fs.Root })
}

func (t *Task) directory(what string, which func(*fsStruct) path) (string, error) {
	t.k.refresh()
	fs, err := t.dirs()
	if err != nil {
		return "", t.lost(what, t.Addr, err)
	}
	p := which(&fs)
	s, err := t.k.dPath(p)
	return s, t.lost(what, p.Dentry, err)
}

type exeViews struct {
	mm  *kstruct.Field[vmem.VirtAddr]
	exe *kstruct.Field[vmem.VirtAddr]
	err error
}

func bindExe(types *isf.File) (v exeViews) {
	b := kstruct.NewBinder(types)
	v.mm = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "mm")
	v.exe = kstruct.BindField[vmem.VirtAddr](b, "mm_struct", "exe_file")
	v.err = b.Err()
	return v
}

// Exe returns the path of the program that the process runs (mm_struct.exe_file), as
// the link /proc/PID/exe. The error is [ErrNone] for a task without one, and a [vmem.Gap]
// otherwise.
func (t *Task) Exe() (string, error) {
	t.k.refresh()
	file, err := t.exeFile()
	if err != nil {
		return "", t.lost("program", t.Addr, err)
	}
	s, err := t.k.filePath(file)
	return s, t.lost("program", file, err)
}

// exeFile returns the address of the struct file of the program.
func (t *Task) exeFile() (vmem.VirtAddr, error) {
	k, v := t.k, &t.k.views.exe
	mm, err := v.mm.Load(k.space, t.Addr)
	switch {
	case err != nil:
		return 0, cause(err, v.err)
	case t.KernelThread || mm == 0 && t.helper():
		return 0, ErrNone
	case mm == 0:
		return 0, t.without("mm_struct")
	}
	file, err := v.exe.Load(k.space, mm)
	if err == nil && file == 0 { // which is there until the last user has left (__mmput of kernel/fork.c)
		err = t.without("mm_struct.exe_file")
	}
	return file, cause(err, v.err)
}
