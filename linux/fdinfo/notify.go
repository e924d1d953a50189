package fdinfo

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Watch is what an inotify looks at (struct inotify_inode_mark of fs/notify/inotify/inotify.h).
type Watch struct {
	WD     int32  `json:"wd"`
	Mask   uint32 `json:"mask"` // IN_ flags (include/uapi/linux/inotify.h)
	Inode  uint64 `json:"inode"`
	Device uint32 `json:"device"`
	Path   string `json:"path" jsonx:"null"` // in its file system, wherever that is mounted; empty where the kernel has none any more
}

// Fanotify is what a fanotify looks at.
type Fanotify struct {
	Flags      uint32         `json:"flags"`      // FAN_ flags of fanotify_init
	EventFlags uint32         `json:"eventFlags"` // O_ flags of the files that it opens
	Marks      []FanotifyMark `json:"marks"`
}

// A FanotifyMark is one object that a fanotify looks at (struct fsnotify_mark).
type FanotifyMark struct {
	On        string `json:"on"`    // inode, mount, filesystem, mntns
	Flags     uint32 `json:"flags"` // FAN_MARK_ flags
	Mask      uint32 `json:"mask"`  // FAN_ events (include/uapi/linux/fanotify.h)
	Ignored   uint32 `json:"ignored"`
	Inode     uint64 `json:"inode,omitempty"`
	Device    uint32 `json:"device,omitempty"`
	MountID   int32  `json:"mountID,omitempty"`
	Namespace uint32 `json:"namespace,omitempty"` // number of a mount namespace
	Path      string `json:"path" jsonx:"null"`   // of an inode, as in a [Watch]
}

// initFlags are FANOTIFY_INIT_FLAGS: those of group.fanotify_data.flags that are the user's.
const initFlags = 0xffff

// String returns the lines of fdinfo, without file handles.
func (f *Fanotify) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fanotify flags:%x event-flags:%x\n", f.Flags, f.EventFlags)
	for _, m := range f.Marks {
		rest := fmt.Sprintf("mflags:%x mask:%x ignored_mask:%x", m.Flags, m.Mask, m.Ignored)
		switch m.On {
		case "inode":
			fmt.Fprintf(&b, "fanotify ino:%x sdev:%x %s \n", m.Inode, m.Device, rest)
		case "mount":
			fmt.Fprintf(&b, "fanotify mnt_id:%x %s\n", m.MountID, rest)
		case "filesystem":
			fmt.Fprintf(&b, "fanotify sdev:%x %s\n", m.Device, rest)
		case "mntns":
			fmt.Fprintf(&b, "fanotify mnt_ns:%d %s\n", m.Namespace, rest)
		}
	}
	return b.String()
}

type markStruct struct {
	Mask      uint32        `kernel:"mask"`
	Ignored   uint32        `kernel:"ignore_mask|ignored_mask"` // renamed in 6.0
	Flags     uint32        `kernel:"flags"`
	Connector vmem.VirtAddr `kernel:"connector"`
}

type connectorStruct struct {
	Type   uint32        `kernel:"type"`
	Object vmem.VirtAddr `kernel:"obj"`
}

type notifyViews struct {
	mark      *kstruct.View[markStruct]
	connector *kstruct.View[connectorStruct]
	list      kstruct.Member // of fsnotify_group
	link      kstruct.Member // of fsnotify_mark
	watched   kstruct.Member // the mark in inotify_inode_mark
	wd        *kstruct.Field[int32]
	inodeHead kstruct.Member // i_fsnotify_marks of inode: leads to the connector
	mountHead kstruct.Member
	mountVFS  kstruct.Member // the struct vfsmount of a mount
	superHead kstruct.Member
	nsHead    kstruct.Member         // of mnt_namespace, since 6.15
	nsNumber  *kstruct.Field[uint32] // likewise
	detached  uint32                 // the type of what has lost its object: the one behind all others
	initFlags *kstruct.Field[int64]  // of fsnotify_group
	openFlags *kstruct.Field[int64]
	err       error
}

func bindNotify(types *isf.File) (v notifyViews) {
	b := kstruct.NewBinder(types)
	v.mark = kstruct.Bind[markStruct](b, "fsnotify_mark")
	v.connector = kstruct.Bind[connectorStruct](b, "fsnotify_mark_connector")
	v.list = kstruct.BindMember(b, "fsnotify_group", "marks_list")
	v.link = kstruct.BindMember(b, "fsnotify_mark", "g_list")
	v.inodeHead = kstruct.BindMember(b, "inode", "i_fsnotify_marks")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.watched = kstruct.BindOptionalMember(b, "inotify_inode_mark", "fsn_mark")
	v.wd = kstruct.BindOptionalField[int32](b, "inotify_inode_mark", "wd")
	v.mountHead = kstruct.BindOptionalMember(b, "mount", "mnt_fsnotify_marks")
	v.mountVFS = kstruct.BindOptionalMember(b, "mount", "mnt")
	v.superHead = kstruct.BindOptionalMember(b, "super_block", "s_fsnotify_info", "s_fsnotify_marks")
	v.nsHead = kstruct.BindOptionalMember(b, "mnt_namespace", "n_fsnotify_marks")
	v.nsNumber = kstruct.BindOptionalField[uint32](b, "mnt_namespace", "ns.inum")
	v.detached = onSuper + 1
	if v.nsHead.Ok() {
		v.detached = onNamespace + 1
	}
	v.initFlags = kstruct.BindOptionalField[int64](b, "fsnotify_group", "fanotify_data.flags")
	v.openFlags = kstruct.BindOptionalField[int64](b, "fsnotify_group", "fanotify_data.f_flags")
	return v
}

// The types of what is looked at (enum fsnotify_obj_type of include/linux/fsnotify_backend.h).
const (
	onInode = iota
	onMount
	onSuper
	onNamespace
)

// Flags of marks (include/linux/fsnotify_backend.h), and what of them and of masks is the user's.
const (
	markExclUnlink = 0x10
	markOneShot    = 0x20
	markSurvives   = 0x100
	markNoIref     = 0x200
	markIgnore     = 0x400
	allEvents      = 0xfff   // IN_ALL_EVENTS
	inExclUnlink   = 1 << 26 // IN_EXCL_UNLINK
	inOneShot      = 1 << 31
	fanIgnoredSurv = 0x40 // FAN_MARK_IGNORED_SURV_MODIFY
	fanEvictable   = 0x200
	fanIgnore      = 0x400
)

// marks calls each with the marks of a group, and what they are on.
func (r *Reader) marks(ctx context.Context, group vmem.VirtAddr, each func(at vmem.VirtAddr, m *markStruct, c *connectorStruct) error) (first error) {
	v := &r.views.notify
	if v.err != nil {
		return v.err
	}
	for node, err := range r.walk(ctx, "marks of a notification group").List(v.list.Of(group)) {
		var m markStruct
		var c connectorStruct
		at := v.link.Container(node)
		if err == nil {
			m, err = v.mark.Load(r.mem, at)
		}
		if err == nil {
			if m.Connector == 0 { // it is being taken away
				continue
			}
			c, err = v.connector.Load(r.mem, m.Connector)
		}
		if err == nil && c.Type == v.detached { // likewise
			continue
		}
		if err == nil && c.Type > v.detached {
			err = corrupt("marks at %v of the type %d", m.Connector, c.Type)
		}
		if err == nil {
			err = each(at, &m, &c)
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// holder returns the object whose member leads to a connector. The connector has the member's address until 6.9, and the object's since
// (230d97d39e96).
func (r *Reader) holder(connector vmem.VirtAddr, c *connectorStruct, head kstruct.Member) (vmem.VirtAddr, error) {
	if !head.Ok() {
		return 0, kstruct.ErrUnsupported
	}
	for _, at := range []vmem.VirtAddr{c.Object, head.Container(c.Object)} {
		if back, err := r.mem.Uint64(head.Of(at)); err == nil && vmem.VirtAddr(back) == connector {
			return at, nil
		}
	}
	return 0, corrupt("what is at %v does not lead back to its marks at %v", c.Object, connector)
}

// watchedInode returns what there is to say of an inode that is looked at.
func (r *Reader) watchedInode(connector vmem.VirtAddr, c *connectorStruct) (number uint64, dev uint32, path string, err error) {
	at, err := r.holder(connector, c, r.views.notify.inodeHead)
	if err != nil {
		return 0, 0, "", err
	}
	i, err := r.inode(at)
	if err != nil {
		return 0, 0, "", err
	}
	dev, err = r.device(i.Super)
	return i.Number, dev, r.inodePath(&i), err
}

// inodePath returns the path of an inode in its file system, empty where the kernel has none.
func (r *Reader) inodePath(i *inodeStruct) string {
	if !plausible(i.Aliases) || !r.views.alias.Ok() {
		return ""
	}
	path, err := r.k.DentryPath(r.views.alias.Container(i.Aliases))
	if err != nil {
		return ""
	}
	return path
}

func (r *Reader) inotify(ctx context.Context, info *Info, o *object) error {
	v := &r.views.notify
	info.Inotify = []Watch{}
	return r.marks(ctx, o.file.Private, func(at vmem.VirtAddr, m *markStruct, c *connectorStruct) (err error) {
		if c.Type != onInode {
			return nil
		}
		w := Watch{Mask: m.Mask & allEvents}
		if m.Flags&markExclUnlink != 0 {
			w.Mask |= inExclUnlink
		}
		if m.Flags&markOneShot != 0 {
			w.Mask |= inOneShot
		}
		if w.WD, err = v.wd.Load(r.mem, v.watched.Container(at)); err != nil {
			return err
		}
		w.Inode, w.Device, w.Path, err = r.watchedInode(m.Connector, c)
		info.Inotify = append(info.Inotify, w)
		return err
	})
}

func (r *Reader) fanotify(ctx context.Context, info *Info, o *object) error {
	v := &r.views.notify
	f := &Fanotify{Marks: []FanotifyMark{}}
	flags, err := v.initFlags.Load(r.mem, o.file.Private)
	if err != nil {
		return err
	}
	opened, err := v.openFlags.Load(r.mem, o.file.Private)
	if err != nil {
		return err
	}
	f.Flags, f.EventFlags = uint32(flags)&initFlags, uint32(opened)
	info.Notify = f
	return r.marks(ctx, o.file.Private, func(_ vmem.VirtAddr, m *markStruct, c *connectorStruct) error {
		one, err := r.fanotifyMark(m, c)
		f.Marks = append(f.Marks, one)
		return err
	})
}

// fanotifyMark tells of one mark (fanotify_fdinfo of fs/notify/fdinfo.c).
func (r *Reader) fanotifyMark(m *markStruct, c *connectorStruct) (one FanotifyMark, err error) {
	one = FanotifyMark{Mask: m.Mask, Ignored: m.Ignored}
	for _, f := range [...]struct{ mark, user uint32 }{{markSurvives, fanIgnoredSurv}, {markNoIref, fanEvictable}, {markIgnore, fanIgnore}} {
		if m.Flags&f.mark != 0 {
			one.Flags |= f.user
		}
	}
	v := &r.views.notify
	switch c.Type {
	case onInode:
		one.On = "inode"
		one.Inode, one.Device, one.Path, err = r.watchedInode(m.Connector, c)
	case onMount:
		one.On = "mount"
		var at vmem.VirtAddr
		if at, err = r.markedMount(m.Connector, c); err == nil {
			one.MountID, err = r.views.mntID.Load(r.mem, at)
		}
	case onSuper:
		one.On = "filesystem"
		one.Device, err = r.markedSuper(m.Connector, c)
	case onNamespace:
		one.On = "mntns"
		var at vmem.VirtAddr
		if at, err = r.holder(m.Connector, c, v.nsHead); err == nil {
			one.Namespace, err = v.nsNumber.Load(r.mem, at)
		}
	}
	return one, err
}

// markedMount returns the mount that is looked at. Since 6.10 (230d97d39e96) the connector has the address of its struct vfsmount.
func (r *Reader) markedMount(connector vmem.VirtAddr, c *connectorStruct) (vmem.VirtAddr, error) {
	v := &r.views.notify
	at, err := r.holder(connector, c, v.mountHead)
	if err != nil && v.mountVFS.Ok() {
		of := *c
		of.Object = v.mountVFS.Container(c.Object)
		if inside, err := r.holder(connector, &of, v.mountHead); err == nil {
			return inside, nil
		}
	}
	return at, err
}

// markedSuper returns the device of a file system that is looked at. Since 6.10 (07a3b8d0bf72) what leads to the connector is in a structure of its own, whose
// first member it is.
func (r *Reader) markedSuper(connector vmem.VirtAddr, c *connectorStruct) (uint32, error) {
	at, err := r.holder(connector, c, r.views.notify.superHead)
	if err == nil {
		return r.device(at)
	}
	info, err2 := r.mem.Uint64(r.views.notify.superHead.Of(c.Object))
	if err2 != nil || !plausible(vmem.VirtAddr(info)) {
		return 0, err
	}
	if back, err2 := r.mem.Uint64(vmem.VirtAddr(info)); err2 != nil || vmem.VirtAddr(back) != connector {
		return 0, err
	}
	return r.device(c.Object)
}
