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
