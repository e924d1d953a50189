package socket

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A subflowContext is struct mptcp_subflow_context (net/mptcp/protocol.h), which a subflow has
// as data of its ULP.
type subflowContext struct {
	Token uint32        `kernel:"token"`
	Conn  vmem.VirtAddr `kernel:"conn"`
}

// An mptcpSock is what is read of struct mptcp_sock.
type mptcpSock struct {
	First   vmem.VirtAddr `kernel:"first"` // subflow
	Token   uint32        `kernel:"token"`
	Forward int32         `kernel:"rmem_fwd_alloc,optional"` // until 6.14
	Backlog uint32        `kernel:"backlog_len,optional"`    // since 6.19
}

// A backlog is the queue of a listening socket.
type backlog struct {
	Backlog    uint32 `kernel:"sk_ack_backlog"`
	MaxBacklog uint32 `kernel:"sk_max_ack_backlog"`
}

type mptcpViews struct {
	sub     *kstruct.View[subflowContext]
	sock    *kstruct.View[mptcpSock]
	backlog *kstruct.View[backlog]
	bucket  *kstruct.View[empty]
	chain   kstruct.Member
	err     error
}

func bindMPTCP(types *isf.File) (v mptcpViews) {
	b := kstruct.NewBinder(types)
	v.sub = kstruct.Bind[subflowContext](b, "mptcp_subflow_context")
	v.sock = kstruct.Bind[mptcpSock](b, "mptcp_sock")
	v.backlog = kstruct.Bind[backlog](b, "sock")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.bucket = kstruct.BindOptional[empty](b, "token_bucket")
	v.chain = kstruct.BindOptionalMember(b, "token_bucket", "msk_chain")
	return v
}

var mptcpTable = table{object: "MPTCP sockets", families: []Family{Inet, Inet6}, protos: []string{"MPTCP", "MPTCPv6"}}

// fillSubflow notes the connection that a subflow is of.
func (f *finder) fillSubflow(s *Socket, at vmem.VirtAddr) {
	c, err := f.v.mptcp.sub.Load(f.mem, at)
	if err != nil {
		f.loseAt(mptcpTable.object, at, cause(err, f.v.mptcp.err))
		return
	}
	s.TCP.MPTCPToken = c.Token
	if c.Conn != 0 {
		f.conns = append(f.conns, c.Conn)
	}
}

// walkMPTCP adds the MPTCP connections: those of the subflows in TCP's table, and those of the
// table of tokens, where its symbol (static) is known: connections that have lost all
// subflows are there alone.
func (f *finder) walkMPTCP() {
	for _, addr := range f.conns {
		if _, err := f.add(&mptcpTable, addr, InSubflow); err != nil {
			f.loseAt(mptcpTable.object, addr, err)
		}
	}
	v := &f.v.mptcp
	at, err := f.k.Symbol("token_hash")
	if err != nil || !v.bucket.Ok() || !v.chain.Ok() {
		return
	}
	mask, err := f.k.Symbol("token_mask")
	if err != nil {
		return
	}
	first, err := f.mem.Uint64(at)
	if err == nil {
		var n uint32
		if n, err = f.mem.Uint32(mask); err == nil {
			w := f.walk(mptcpTable.object)
			chains := hashTable{at: v.chain.Of(vmem.VirtAddr(first)), n: uint64(n) + 1, stride: v.bucket.Size(), nulls: true}
			f.buckets(mptcpTable.object, chains, func(i uint64, head vmem.VirtAddr) {
				f.chain(&mptcpTable, w.HListNulls(head, i), f.v.node.Offset(), InTable, nil)
			})
		}
	}
	if err != nil {
		f.loseAt(mptcpTable.object, at, err)
	}
}

// fillMPTCP follows mptcp_diag_get_info of net/mptcp/mptcp_diag.c.
func (f *finder) fillMPTCP(s *Socket) {
	v := &f.v.mptcp
	m, err := v.sock.Load(f.mem, s.Addr)
	if err != nil {
		f.loseAt(mptcpTable.object, s.Addr, cause(err, v.err))
		return
	}
	s.MPTCPToken = m.Token
	s.ReceiveQueue += int64(m.Backlog)
	s.Memory.Forward += uint32(m.Forward)
	if s.State != Listen || m.First == 0 {
		return
	}
	b, err := v.backlog.Load(f.mem, m.First)
	if err != nil {
		f.loseAt(mptcpTable.object, m.First, err)
		return
	}
	s.ReceiveQueue, s.SendQueue = int64(b.Backlog), int64(b.MaxBacklog)
}
