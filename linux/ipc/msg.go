package ipc

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Msg is a message queue of System V (struct msg_queue of ipc/msg.c; /proc/sysvipc/msg).
type Msg struct {
	Perm
	Bytes    uint64    `json:"bytes"`
	Count    uint64    `json:"count"`
	Limit    uint64    `json:"limit"` // bytes
	Sender   int32     `json:"sender"`
	Receiver int32     `json:"receiver"` // PIDs of the last ones
	STime    int64     `json:"stime"`    // seconds since 1970: sent, received, changed
	RTime    int64     `json:"rtime"`
	CTime    int64     `json:"ctime"`
	Messages []Message `json:"messages"` // the oldest first
}

// A Message is one that waits in a queue (struct msg_msg).
type Message struct {
	Type int64  `json:"type"` // of System V, or the priority of POSIX
	Data []byte `json:"data"` // in base64
}

// String returns the queue as a line of /proc/sysvipc/msg.
func (m *Msg) String() string {
	return fmt.Sprintf("%10d %10d  %4o  %10d %10d %5d %5d %5d %5d %5d %5d %10d %10d %10d", m.Key, m.ID, m.Mode, m.Bytes, m.Count, m.Sender, m.Receiver,
		m.UID, m.GID, m.CUID, m.CGID, m.STime, m.RTime, m.CTime)
}

type msgQueue struct {
	STime    int64         `kernel:"q_stime"`
	RTime    int64         `kernel:"q_rtime"`
	CTime    int64         `kernel:"q_ctime"`
	Bytes    uint64        `kernel:"q_cbytes"`
	Count    uint64        `kernel:"q_qnum"`
	Limit    uint64        `kernel:"q_qbytes"`
	Sender   vmem.VirtAddr `kernel:"q_lspid"`
	Receiver vmem.VirtAddr `kernel:"q_lrpid"`
	Messages vmem.VirtAddr `kernel:"&q_messages"`
}

type msgStruct struct {
	Type int64         `kernel:"m_type"`
	Size uint64        `kernel:"m_ts"`
	Next vmem.VirtAddr `kernel:"next"`
}

type msgViews struct {
	queue *kstruct.View[msgQueue]
	perm  kstruct.Member
	msg   *kstruct.View[msgStruct]
	link  kstruct.Member // of msg_msg
	err   error
}

func bindMsg(types *isf.File) (v msgViews) {
	b := kstruct.NewBinder(types)
	v.queue = kstruct.Bind[msgQueue](b, "msg_queue")
	v.perm = kstruct.BindMember(b, "msg_queue", "q_perm")
	v.msg = kstruct.Bind[msgStruct](b, "msg_msg")
	v.link = kstruct.BindMember(b, "msg_msg", "m_list")
	v.err = b.Err()
	return v
}

func (r *Reader) readMsg(ctx context.Context, at vmem.VirtAddr, p Perm) (Msg, error) {
	v := &r.views.msg
	out := Msg{Perm: p, Messages: []Message{}}
	q, err := v.queue.Load(r.mem, v.perm.Container(at))
	if err != nil {
		return out, cause(err, v.err)
	}
	out.Bytes, out.Count, out.Limit, out.STime, out.RTime, out.CTime = q.Bytes, q.Count, q.Limit, q.STime, q.RTime, q.CTime
	if out.Sender, err = r.pidOf(q.Sender); err != nil {
		return out, err
	}
	if out.Receiver, err = r.pidOf(q.Receiver); err != nil {
		return out, err
	}
	out.Messages, err = r.messages(ctx, q.Messages)
	if err == nil && uint64(len(out.Messages)) != out.Count {
		err = corrupt("%d messages, the queue counts %d", len(out.Messages), out.Count)
	}
	return out, err
}

// messages reads a list of messages. What could be read comes with an error.
func (r *Reader) messages(ctx context.Context, head vmem.VirtAddr) ([]Message, error) {
	all := []Message{}
	var first error
	total := uint64(0)
	for node, err := range r.walk(ctx, "messages of a queue").List(head) {
		var m Message
		if err == nil {
			m, err = r.message(r.views.msg.link.Container(node), &total)
		}
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		all = append(all, m)
	}
	return all, first
}

// Bounds of what is told of one message, and of one queue: far above the limits in use (msgmax is 8 KiB, msgmnb 16 KiB).
const (
	maxMessage  = 16 << 20
	maxMessages = 64 << 20
)

// message reads a message, whose text follows it, and goes on in segments of a page each (ipc/msgutil.c).
func (r *Reader) message(at vmem.VirtAddr, total *uint64) (Message, error) {
	v := &r.views.msg
	m, err := v.msg.Load(r.mem, at)
	if err != nil {
		return Message{}, cause(err, v.err)
	}
	if *total += min(m.Size, maxMessages); m.Size > maxMessage || *total > maxMessages {
		return Message{}, fmt.Errorf("%w: a message of %d bytes", kstruct.ErrTooLong, m.Size)
	}
	var data []byte
	rest, from, room, next := m.Size, at+vmem.VirtAddr(v.msg.Size()), vmem.PageSize-v.msg.Size(), m.Next
	for {
		piece := make([]byte, min(rest, room))
		if _, err := r.mem.ReadVirt(piece, from); err != nil {
			return Message{}, err
		}
		data = append(data, piece...)
		if rest -= uint64(len(piece)); rest == 0 {
			return Message{Type: m.Type, Data: data}, nil
		}
		if !plausible(next) {
			return Message{}, corrupt("the segment behind %d bytes of a message is at %v", len(data), next)
		}
		after, err := r.mem.Uint64(next) // struct msg_msgseg
		if err != nil {
			return Message{}, err
		}
		from, room, next = next+8, vmem.PageSize-8, vmem.VirtAddr(after)
	}
}
