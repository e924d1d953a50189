package socket

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A udpHash is struct udp_table (include/net/udp.h).
type udpHash struct {
	Hash vmem.VirtAddr `kernel:"hash"`
	Mask uint32        `kernel:"mask"`
}

type udpViews struct {
	table   *kstruct.View[udpHash]
	slot    *kstruct.View[empty]
	head    kstruct.Member
	err     error
	deficit *kstruct.Field[int32] // of udp_sock
	sockErr error
}

func bindUDP(types *isf.File) (v udpViews) {
	b := kstruct.NewBinder(types)
	v.table = kstruct.Bind[udpHash](b, "udp_table")
	v.slot = kstruct.Bind[empty](b, "udp_hslot")
	v.head = kstruct.BindMember(b, "udp_hslot", "head")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.deficit = kstruct.BindField[int32](b, "udp_sock", "forward_deficit")
	v.sockErr = b.Err()
	return v
}

var (
	udpTable     = table{object: "UDP sockets", families: []Family{Inet, Inet6}, protos: []string{"UDP", "UDPv6"}}
	udpLiteTable = table{object: "UDP-Lite sockets", families: []Family{Inet, Inet6}, protos: []string{"UDP-Lite", "UDPLITEv6"}}
)

// walkUDP adds the sockets of UDP that have a port: of the tables that the namespaces have
// since 6.2, or else of udp_table, which is exported before that. UDP-Lite had a table of its
// own, udplite_table (exported), until it was removed in 7.1.
func (f *finder) walkUDP() {
	seen := map[vmem.VirtAddr]bool{0: true}
	for _, n := range f.nets {
		if !seen[n.UDP] {
			seen[n.UDP] = true
			f.tables.udp = f.walkUDPTable(&udpTable, n.UDP) || f.tables.udp
		}
	}
	if at, err := f.k.Symbol("udp_table"); err == nil && !seen[at] {
		f.tables.udp = f.walkUDPTable(&udpTable, at) || f.tables.udp
	} else if len(seen) == 1 {
		f.loseAt(udpTable.object, 0, fmt.Errorf("%w: neither the namespaces nor a symbol have the table", kstruct.ErrUnsupported))
	}
	if at, err := f.k.Symbol("udplite_table"); err == nil {
		f.tables.udplite = f.walkUDPTable(&udpLiteTable, at)
	}
}

// walkUDPTable reports whether the table at an address could be read.
func (f *finder) walkUDPTable(t *table, at vmem.VirtAddr) bool {
	v := &f.v.udp
	h, err := v.table.Load(f.mem, at)
	if err != nil {
		f.loseAt(t.object, at, cause(err, v.err))
		return false
	}
	w := f.walk(t.object)
	slots := hashTable{at: v.head.Of(h.Hash), n: uint64(h.Mask) + 1, stride: v.slot.Size()}
	var place uint32
	inPlace := func(s *Socket) {
		if n := f.mixOf(s); n != nil && (s.LocalPort+n.Mix)&h.Mask != place {
			s.Anomalies |= WrongBucket
		}
	}
	f.buckets(t.object, slots, func(i uint64, head vmem.VirtAddr) {
		place = uint32(i)
		f.hchain(t, w, head, false, f.v.node.Offset(), InTable, inPlace)
	})
	return true
}

// mixOf returns the namespace of a socket, if that has what hash functions mix in.
func (f *finder) mixOf(s *Socket) *space {
	if !f.v.net.Has("Mix") {
		return nil
	}
	for _, n := range f.nets {
		if n.Inum == s.NetNS {
			return n
		}
	}
	return nil
}

// fillInet sets what an inet socket has beside others.
func (f *finder) fillInet(s *Socket) {
	switch {
	case s.Number == protoTCP && s.Type == Stream:
		f.fillTCP(s)
	case s.Number == protoMPTCP:
		f.fillMPTCP(s)
	case s.Number == protoSCTP && s.Type != Raw:
		f.fillSCTP(s)
	case s.Type == Dgram && (s.Number == protoUDP || s.Number == protoUDPLite):
		// udp_diag_get_info of net/ipv4/udp_diag.c.
		n, err := f.v.udp.deficit.Load(f.mem, s.Addr)
		if err != nil {
			f.loseAt(udpTable.object, s.Addr, cause(err, f.v.udp.sockErr))
		}
		s.ReceiveQueue -= int64(n)
	}
}
