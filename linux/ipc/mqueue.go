package ipc

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Queue is a POSIX message queue (struct mqueue_inode_info of ipc/mqueue.c).
type Queue struct {
	Name       string        `json:"name"` // with a slash before it; empty for one whose name was removed
	Mode       uint16        `json:"mode"`
	UID        uint32        `json:"uid"`
	GID        uint32        `json:"gid"`
	Bytes      uint64        `json:"bytes"`
	MaxCount   int64         `json:"maxCount"`
	MaxSize    int64         `json:"maxSize"` // of a message
	Count      int64         `json:"count"`
	Notified   int32         `json:"notified"`   // PID of who is told of the next message, 0 for nobody
	NotifyHow  int32         `json:"notifyHow"`  // SIGEV_ number
	NotifySign int32         `json:"notifySign"` // the signal, with SIGEV_SIGNAL
	Messages   []Message     `json:"messages"`   // those of the highest priority first, of one the oldest
	Inode      vmem.VirtAddr `json:"inode"`
}

// String returns what reading the queue's file shows (mqueue_read_file).
func (q *Queue) String() string {
	how, sign := q.NotifyHow, q.NotifySign
	if q.Notified == 0 {
		how, sign = 0, 0
	}
	if how != 0 { // SIGEV_SIGNAL
		sign = 0
	}
	return fmt.Sprintf("QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d", q.Bytes, how, sign, q.Notified)
}

type mqStruct struct {
	Tree   vmem.VirtAddr `kernel:"&msg_tree"`
	Max    int64         `kernel:"attr.mq_maxmsg"`
	Size   int64         `kernel:"attr.mq_msgsize"`
	Count  int64         `kernel:"attr.mq_curmsgs"`
	How    int32         `kernel:"notify.sigev_notify"`
	Signal int32         `kernel:"notify.sigev_signo"`
	Owner  vmem.VirtAddr `kernel:"notify_owner"`
	Bytes  uint64        `kernel:"qsize"`
}

type mqInode struct {
	Mode    uint16        `kernel:"i_mode"`
	UID     uint32        `kernel:"i_uid.val"`
	GID     uint32        `kernel:"i_gid.val"`
	Aliases vmem.VirtAddr `kernel:"i_dentry.first"`
	Super   vmem.VirtAddr `kernel:"i_sb"`
}

type mqViews struct {
	mnt      *kstruct.Field[vmem.VirtAddr] // of ipc_namespace
	super    *kstruct.Field[vmem.VirtAddr] // of vfsmount
	inodes   kstruct.Member                // s_inodes of super_block
	link     kstruct.Member                // i_sb_list of inode
	inode    *kstruct.View[mqInode]
	queue    *kstruct.View[mqStruct]
	vfsInode kstruct.Member // of mqueue_inode_info
	node     kstruct.Member // rb_node of posix_msg_tree_node
	list     kstruct.Member // msg_list, likewise
	priority *kstruct.Field[int32]
	alias    kstruct.Member // of dentry
	err      error
}

func bindMQ(types *isf.File) (v mqViews) {
	b := kstruct.NewBinder(types)
	v.mnt = kstruct.BindField[vmem.VirtAddr](b, "ipc_namespace", "mq_mnt")
	v.super = kstruct.BindField[vmem.VirtAddr](b, "vfsmount", "mnt_sb")
	v.inodes = kstruct.BindMember(b, "super_block", "s_inodes")
	v.link = kstruct.BindMember(b, "inode", "i_sb_list")
	v.inode = kstruct.Bind[mqInode](b, "inode")
	v.queue = kstruct.Bind[mqStruct](b, "mqueue_inode_info")
	v.vfsInode = kstruct.BindMember(b, "mqueue_inode_info", "vfs_inode")
	v.node = kstruct.BindMember(b, "posix_msg_tree_node", "rb_node")
	v.list = kstruct.BindMember(b, "posix_msg_tree_node", "msg_list")
	v.priority = kstruct.BindField[int32](b, "posix_msg_tree_node", "priority")
	v.alias = kstruct.BindMember(b, "dentry", "d_alias", "d_u.d_alias")
	v.err = b.Err()
	return v
}

// Kinds of inodes (include/uapi/linux/stat.h).
const (
	modeKind = 0o170000
	modeFile = 0o100000
)

// readQueues reads the POSIX queues of a namespace: the files of its own file system.
func (r *Reader) readQueues(ctx context.Context, ns *Namespace, lost func(error)) {
	v := &r.views.mq
	mnt, err := v.mnt.Load(r.mem, ns.Address)
	if err != nil {
		if v.err == nil || !r.views.mq.mnt.Ok() {
			err = cause(err, v.err)
		}
		lost(err)
		return
	}
	if mnt == 0 { // the kernel has none
		return
	}
	super, err := v.super.Load(r.mem, mnt)
	if err == nil && !plausible(super) {
		err = corrupt("super_block pointer %v", super)
	}
	if err != nil {
		lost(err)
		return
	}
	for node, err := range r.walk(ctx, "POSIX message queues").List(v.inodes.Of(super)) {
		at := v.link.Container(node)
		var i mqInode
		if err == nil {
			i, err = v.inode.Load(r.mem, at)
		}
		if err == nil && i.Super != super {
			err = corrupt("inode %v is of the file system %v", at, i.Super)
		}
		if err == nil && i.Mode&modeKind != modeFile {
			continue
		}
		if err == nil {
			var q Queue
			q, err = r.queue(ctx, at, &i)
			ns.Queues = append(ns.Queues, q)
		}
		if err != nil {
			lost(err)
		}
	}
	slices.SortStableFunc(ns.Queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
}

func (r *Reader) queue(ctx context.Context, at vmem.VirtAddr, i *mqInode) (Queue, error) {
	v := &r.views.mq
	out := Queue{Inode: at, Mode: i.Mode, UID: i.UID, GID: i.GID, Messages: []Message{}}
	q, err := v.queue.Load(r.mem, v.vfsInode.Container(at))
	if err != nil {
		return out, err
	}
	out.Bytes, out.MaxCount, out.MaxSize, out.Count, out.NotifyHow, out.NotifySign = q.Bytes, q.Max, q.Size, q.Count, q.How, q.Signal
	if plausible(i.Aliases) {
		if out.Name, err = r.k.DentryPath(v.alias.Container(i.Aliases)); err != nil {
			return out, err
		}
	}
	if out.Notified, err = r.pidOf(q.Owner); err != nil {
		return out, err
	}
	for node, err := range r.walk(ctx, "priorities of a queue").RBTree(q.Tree) {
		if err != nil {
			return out, err
		}
		at := v.node.Container(node)
		priority, err := v.priority.Load(r.mem, at)
		if err != nil {
			return out, err
		}
		messages, err := r.messages(ctx, v.list.Of(at))
		for i := range messages {
			messages[i].Type = int64(priority)
		}
		out.Messages = append(messages, out.Messages...) // the tree is by ascending priority
		if err != nil {
			return out, err
		}
	}
	if int64(len(out.Messages)) != out.Count {
		return out, corrupt("%d messages, the queue counts %d", len(out.Messages), out.Count)
	}
	return out, nil
}
