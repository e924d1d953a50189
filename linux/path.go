package linux

import "github.com/nodelens/nodelens/vmem"

// Path returns the path of a mount and a dentry in it (the two members of struct path), as the node's root
// shows it, with " (deleted)" as /proc has it. It is for paths that other objects than files have, such
// as probes. The error is a [vmem.Gap].
func (k *Kernel) Path(mnt, dentry vmem.VirtAddr) (string, error) {
	s, err := k.dPath(path{Mnt: mnt, Dentry: dentry})
	if err != nil {
		return "", newGap("path", dentry, err)
	}
	return s, nil
}

// DentryPath returns the path of a dentry from the root of its file system, wherever that is
// mounted: dentry_path of fs/d_path.c. The error is a [vmem.Gap].
func (k *Kernel) DentryPath(dentry vmem.VirtAddr) (string, error) {
	s, err := k.fsPath(dentry)
	if err != nil {
		return "", newGap("path", dentry, err)
	}
	return s, nil
}

// A PathRef is struct path: a dentry as seen through a mount.
type PathRef struct {
	Mount  vmem.VirtAddr // of struct vfsmount, which is in a struct mount
	Dentry vmem.VirtAddr
}

// RootRef returns the root directory as the kernel has it. The errors are those of [Task.Root].
func (t *Task) RootRef() (PathRef, error) {
	return t.directoryRef("root directory", func(fs *fsStruct) path { return fs.Root })
}

// CwdRef returns the working directory as the kernel has it. The errors are those of [Task.Cwd].
func (t *Task) CwdRef() (PathRef, error) {
	return t.directoryRef("working directory", func(fs *fsStruct) path { return fs.Pwd })
}

func (t *Task) directoryRef(what string, which func(*fsStruct) path) (PathRef, error) {
	t.k.refresh()
	fs, err := t.dirs()
	if err != nil {
		return PathRef{}, t.lost(what, t.Addr, err)
	}
	p := which(&fs)
	return PathRef{p.Mnt, p.Dentry}, nil
}
