package pagecache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Nameless is a file or directory that was deleted, or never had a name, and is still there.
type Nameless struct {
	Inode
	FSType  string   `json:"fsType"`
	Path    string   `json:"path" jsonx:"null"` // as a holder's link in /proc shows it; empty if nobody holds it
	Holders []Holder `json:"holders"`           // empty of what is only cached, or held by the kernel alone, such as a swap area
}

// A Holder is a process that holds a file.
type Holder struct {
	PID int32 `json:"pid"`
	// How is fd, map, exe, cwd or root.
	How   string                    `json:"how"`
	FD    int                       `json:"fd"`    // of How fd; -1 otherwise
	Range vmem.Range[vmem.VirtAddr] `json:"range"` // of How map
}

// pseudoTypes are file systems whose inodes never have names, or are none of files.
var pseudoTypes = map[string]bool{"proc": true, "sysfs": true, "cgroup": true, "cgroup2": true, "bdev": true, "debugfs": true, "tracefs": true,
	"securityfs": true, "bpf": true, "mqueue": true, "devpts": true, "configfs": true, "binfmt_misc": true, "sockfs": true, "pipefs": true,
	"anon_inodefs": true, "nsfs": true, "pidfs": true, "dax": true, "aio": true, "secretmem": true, "guest_memfd": true}

// A hoard collects who holds what.
type hoard struct {
	*Set
	ctx  context.Context //nolint:containedctx // it lives as long as one call
	by   map[vmem.VirtAddr]*Nameless
	told losses
}

// Nameless returns regular files and directories without a name, by file system and number: those that processes have open or
// mapped, execute or are in, and those of the lists of file systems on disks or in memory. Beside them is what was lost.
func (s *Set) Nameless(ctx context.Context) ([]*Nameless, []vmem.Gap) {
	h := &hoard{Set: s, ctx: ctx, by: map[vmem.VirtAddr]*Nameless{}}
	for _, t := range s.opts.Tasks {
		if ctx.Err() != nil {
			return nil, h.told.gaps()
		}
		h.task(t)
	}
	for _, f := range s.Supers() {
		if pseudoTypes[f.FSType] {
			continue
		}
		for n, err := range s.Inodes(ctx, f) {
			switch {
			case err != nil:
				h.lose("inodes of "+f.FSType, 0, err)
			case n.Links == 0 && n.count > 0 && (n.IsRegular() || n.IsDir()) && h.by[n.Addr] == nil:
				h.by[n.Addr] = &Nameless{Inode: *n, FSType: f.FSType}
			}
		}
	}
	all := make([]*Nameless, 0, len(h.by))
	for _, n := range h.by {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *Nameless) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Addr, b.Addr))
	})
	return all, h.told.gaps()
}

func (h *hoard) lose(object string, addr vmem.VirtAddr, err error) {
	h.told.add(object, addr, err)
}

// lost tells a loss, and reports whether there is none: what a task does not have is none either, but nothing to look at.
func (h *hoard) lost(object string, addr vmem.VirtAddr, err error) bool {
	if err != nil && !errors.Is(err, linux.ErrNone) && !ended(err) {
		h.lose(object, addr, err)
	}
	return err == nil
}

// task looks at what a task holds.
func (h *hoard) task(t *linux.Task) {
	object := "files of " + t.String()
	for fd, err := range t.Files(h.ctx) {
		if err != nil {
			h.lost(object, t.Addr, err)
			continue
		}
		h.file(object, fd.Addr, Holder{PID: t.PID, How: "fd", FD: fd.FD})
	}
	if r, err := t.CwdRef(); h.lost(object, t.Addr, err) {
		h.hold(object, r.Mount, r.Dentry, Holder{PID: t.PID, How: "cwd", FD: -1})
	}
	if r, err := t.RootRef(); h.lost(object, t.Addr, err) {
		h.hold(object, r.Mount, r.Dentry, Holder{PID: t.PID, How: "root", FD: -1})
	}
	if t.KernelThread {
		return
	}
	if mm, err := h.v.mm.Load(h.mem, t.Addr); err == nil && mm != 0 {
		if exe, err := h.v.exe.Load(h.mem, mm); err == nil && exe != 0 {
			h.file(object, exe, Holder{PID: t.PID, How: "exe", FD: -1})
		}
	}
	mm, err := t.MM()
	if err != nil {
		return
	}
	for area, err := range mm.VMAs(h.ctx) {
		if !h.lost(object, t.Addr, err) || area.Addr == 0 {
			continue
		}
		if file, err := h.v.vmaFile.Load(h.mem, area.Addr); err == nil && file != 0 {
			h.file(object, file, Holder{PID: t.PID, How: "map", FD: -1, Range: area.Range})
		}
	}
}

func (h *hoard) file(object string, addr vmem.VirtAddr, by Holder) {
	f, err := h.v.file.Load(h.mem, addr)
	if err != nil {
		h.lose(object, addr, err)
		return
	}
	h.hold(object, f.Mount, f.Dentry, by)
}

// hold notes that a file is held, if it has no name.
func (h *hoard) hold(object string, mount, dentry vmem.VirtAddr, by Holder) {
	d, err := h.v.dentry.Load(h.mem, dentry)
	if err != nil {
		h.lose(object, dentry, err)
		return
	}
	f := h.superOf(d.Super)
	if f == nil || pseudoTypes[f.FSType] || d.Inode == 0 {
		return
	}
	n, err := h.inode(d.Inode)
	if err != nil {
		h.lose(object, d.Inode, err)
		return
	}
	if !n.IsRegular() && !n.IsDir() || n.Links != 0 && (d.Pprev != 0 || d.Parent == dentry) {
		return
	}
	known := h.by[n.Addr]
	if known == nil {
		known = &Nameless{Inode: *n, FSType: f.FSType}
		h.by[n.Addr] = known
	}
	if known.Path == "" {
		path, err := h.k.Path(mount, dentry)
		if err != nil {
			h.lose(fmt.Sprintf("%s: path", object), dentry, err)
		}
		known.Path = path
	}
	if len(known.Holders) == maxHolders {
		h.lose(object, n.Addr, fmt.Errorf("%w: more than %d holders of inode %d", kstruct.ErrTooMany, maxHolders, n.Number))
	}
	if len(known.Holders) <= maxHolders {
		known.Holders = append(known.Holders, by)
	}
}

// maxHolders bounds what is told of one file: a process can map it 65,530 times.
const maxHolders = 4096
