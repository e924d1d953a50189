package socket

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// NetlinkInfo is what a netlink socket has beside others.
type NetlinkInfo struct {
	// Groups are the multicast groups that it listens to, by number, from 1.
	Groups  []uint32 `json:"groups"`
	Dumping bool     `json:"dumping"` // an answer of several messages is under way
	Group   uint32   `json:"remoteGroup,omitempty"`

	bound bool
}

// A netlinkSock is what is read of struct netlink_sock (net/netlink/af_netlink.h).
type netlinkSock struct {
	Port     uint32        `kernel:"portid"`
	DstPort  uint32        `kernel:"dst_portid"`
	DstGroup uint32        `kernel:"dst_group"`
	NGroups  uint32        `kernel:"ngroups"`
	Groups   vmem.VirtAddr `kernel:"groups"`
	Bound    bool          `kernel:"bound"`
	Dumping  bool          `kernel:"cb_running"`
}

type netlinkViews struct {
	sock  *kstruct.View[netlinkSock]
	table *kstruct.View[empty]
	hash  kstruct.Member // in netlink_table
	mc    kstruct.Member
	node  kstruct.Member // in netlink_sock
	err   error
}

func bindNetlink(types *isf.File) (v netlinkViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[netlinkSock](b, "netlink_sock")
	v.table = kstruct.Bind[empty](b, "netlink_table")
	v.hash = kstruct.BindMember(b, "netlink_table", "hash")
	v.mc = kstruct.BindMember(b, "netlink_table", "mc_list")
	v.node = kstruct.BindMember(b, "netlink_sock", "node")
	v.err = b.Err()
	return v
}

const (
	// maxLinks is MAX_LINKS of include/uapi/linux/netlink.h: how many protocols there are.
	maxLinks = 32
	// maxGroups bounds the groups of a netlink socket: generic netlink has the most, and has
	// as many as its families ask for.
	maxGroups = 1 << 16
)

var netlinkTable = table{object: "netlink sockets", families: []Family{Netlink}, protos: []string{"NETLINK"}}

// walkNetlink adds the netlink sockets that have a port: of nl_table (exported), which has a
// hash table for each protocol; and those that listen to groups, which need no port.
func (f *finder) walkNetlink() {
	v := &f.v.netlink
	at, err := f.k.Symbol("nl_table")
	var first uint64
	if err == nil {
		first, err = f.mem.Uint64(at)
	}
	if v.err != nil {
		err = v.err
	}
	if err != nil {
		f.loseAt(netlinkTable.object, at, err)
		return
	}
	f.walked[Netlink] = true
	w := f.walk(netlinkTable.object)
	for i := range maxLinks {
		t := vmem.VirtAddr(first + uint64(i)*v.table.Size())
		if buckets, err := f.mem.Uint64(v.hash.Of(t)); err == nil && buckets == 0 {
			continue // no such protocol
		}
		f.chain(&netlinkTable, w.RHashTable(v.hash.Of(t)), v.node.Offset(), InTable, nil)
		f.chain(&netlinkTable, w.HList(v.mc.Of(t)), f.v.bindNode.Offset(), InBound, nil)
	}
}

// fillNetlink follows sk_diag_fill of net/netlink/diag.c.
func (f *finder) fillNetlink(s *Socket) {
	n, err := f.v.netlink.sock.Load(f.mem, s.Addr)
	if err != nil {
		f.loseAt(netlinkTable.object, s.Addr, cause(err, f.v.netlink.err))
		return
	}
	s.State = Unconn // as ss has it
	s.LocalPort, s.RemotePort = n.Port, n.DstPort
	s.Netlink = &NetlinkInfo{Dumping: n.Dumping, Group: n.DstGroup, bound: n.Bound}
	if n.Groups == 0 || n.NGroups == 0 {
		return
	}
	if n.NGroups > maxGroups {
		f.loseAt("groups of a netlink socket", s.Addr, corrupt("%d groups", n.NGroups))
		return
	}
	words := make([]byte, (n.NGroups+63)/64*8)
	got, err := f.mem.ReadVirt(words, n.Groups)
	if err != nil {
		f.loseAt("groups of a netlink socket", n.Groups, err)
	}
	for i := uint32(0); i < n.NGroups && int(i/64*8+8) <= got; i++ {
		if binary.LittleEndian.Uint64(words[i/64*8:])>>(i%64)&1 != 0 {
			s.Netlink.Groups = append(s.Netlink.Groups, i+1)
		}
	}
}
