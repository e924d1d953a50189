package socket

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A hashInfo is struct inet_hashinfo (include/net/inet_hashtables.h).
type hashInfo struct {
	Ehash     vmem.VirtAddr `kernel:"ehash"`
	Mask      uint32        `kernel:"ehash_mask"`
	Bhash     vmem.VirtAddr `kernel:"bhash"`
	BhashSize uint32        `kernel:"bhash_size"`
	Lhash2    vmem.VirtAddr `kernel:"lhash2"`
	LMask     uint32        `kernel:"lhash2_mask"`
}

var tcpTable = table{object: "TCP sockets", families: []Family{Inet, Inet6}, protos: []string{"TCP", "TCPv6"}}

// walkTCP adds the sockets of TCP: connections and what is left of them or begins to be one,
// listeners, and what is bound to a port and no more.
//
// Each namespace says where its table is (net.ipv4.tcp_death_row.hashinfo); most share one.
// From 5.19 to 6.0 that was otherwise, and tcp_hashinfo is exported there.
func (f *finder) walkTCP() {
	if err := f.v.tcp.tableErr; err != nil {
		f.loseAt(tcpTable.object, 0, err)
		return
	}
	seen := map[vmem.VirtAddr]bool{0: true}
	for _, n := range f.nets {
		if !seen[n.TCP] {
			seen[n.TCP] = true
			f.walkHashInfo(n.TCP)
		}
	}
	if at, err := f.k.Symbol("tcp_hashinfo"); err == nil && !seen[at] {
		f.walkHashInfo(at)
	} else if len(seen) == 1 {
		f.loseAt(tcpTable.object, 0, fmt.Errorf("%w: neither the namespaces nor a symbol have the table", kstruct.ErrUnsupported))
	}
}

func (f *finder) walkHashInfo(at vmem.VirtAddr) {
	v := &f.v.tcp
	h, err := v.info.Load(f.mem, at)
	if err != nil {
		f.loseAt(tcpTable.object, at, err)
		return
	}
	f.tables.tcp = true
	w := f.walk(tcpTable.object)
	readQueue := f.readQueue // one value for all chains
	listening := hashTable{at: v.listenHead.Of(h.Lhash2), n: uint64(h.LMask) + 1, stride: v.listen.Size(), nulls: !v.listenNode.Ok()}
	f.buckets(tcpTable.object, listening, func(_ uint64, head vmem.VirtAddr) {
		if !v.listenNode.Ok() {
			f.hchain(&tcpTable, w, head, true, f.v.node.Offset(), InTable, readQueue)
		} else { // until 5.18
			f.hchain(&tcpTable, w, head, false, v.listenNode.Offset(), InTable, readQueue)
		}
	})
	var place uint32
	inPlace := func(s *Socket) {
		if f.hashOf(s.Addr)&h.Mask != place {
			s.Anomalies |= WrongBucket
		}
	}
	f.buckets(tcpTable.object, hashTable{at: h.Ehash, n: uint64(h.Mask) + 1, stride: 8, nulls: true}, func(i uint64, head vmem.VirtAddr) {
		place = uint32(i)
		f.hchain(&tcpTable, w, head, true, f.v.node.Offset(), InTable, inPlace, i)
	})
	f.walkBound(w, &h)
}

// hashOf returns the hash of a connection's addresses, which says where in the table it is.
func (f *finder) hashOf(sock vmem.VirtAddr) uint32 {
	h, err := f.v.tcp.hash.Load(f.mem, sock)
	if err != nil {
		return 0
	}
	return h
}

// walkBound adds the sockets that have a port: those that do no more than that are in no other
// table. Since 6.8 the sockets of a port are listed by address.
func (f *finder) walkBound(w *kstruct.Walk, h *hashInfo) {
	v := &f.v.tcp
	ports := hashTable{at: v.bindHead.Of(h.Bhash), n: uint64(h.BhashSize), stride: v.bind.Size()}
	f.buckets(tcpTable.object, ports, func(_ uint64, head vmem.VirtAddr) {
		if node, ok := f.single(head, false); ok {
			f.walkPort(w, v.bindNode.Container(node))
			return
		}
		for node, err := range w.HList(head) {
			if err != nil {
				f.lose(tcpTable.object, err)
			} else {
				f.walkPort(w, v.bindNode.Container(node))
			}
		}
	})
}

// walkPort adds the sockets of the port whose inet_bind_bucket is at an address.
func (f *finder) walkPort(w *kstruct.Walk, bucket vmem.VirtAddr) {
	v := &f.v.tcp
	if v.owners.Ok() {
		f.hchain(&tcpTable, w, v.owners.Of(bucket), false, f.v.bindNode.Offset(), InBound, nil)
		return
	}
	if node, ok := f.single(v.byAddress.Of(bucket), false); ok { // nearly always
		f.hchain(&tcpTable, w, v.owners2.Of(v.bind2Node.Container(node)), false, f.v.bindNode.Offset(), InBound, nil)
		return
	}
	for node, err := range w.HList(v.byAddress.Of(bucket)) {
		if err != nil {
			f.lose(tcpTable.object, err)
		} else {
			f.hchain(&tcpTable, w, v.owners2.Of(v.bind2Node.Container(node)), false, f.v.bindNode.Offset(), InBound, nil)
		}
	}
}

// readQueue marks the connections that wait at a listening socket to be accepted: each is
// the socket of a request in its queue.
func (f *finder) readQueue(listener *Socket) {
	v := &f.v.request
	if listener.State != Listen {
		return
	}
	first, err := f.v.tcp.queue.Load(f.mem, listener.Addr)
	if err != nil || first == 0 {
		return
	}
	for req, err := range f.walk("queue of a listening socket").Chain(first, v.next.Offset()) {
		if err != nil {
			f.lose("queue of a listening socket", err)
			return
		}
		child, err := v.sock.Load(f.mem, req)
		if err != nil {
			f.loseAt("queue of a listening socket", req, err)
			return
		}
		f.queued[child] = listener.Addr
	}
}
