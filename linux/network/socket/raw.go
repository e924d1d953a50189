package socket

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

type rawViews struct {
	heads     kstruct.Member // ht of raw_hashinfo
	rawNulls  bool
	err       error
	ping      kstruct.Member // hash of ping_table
	pingNulls bool
	pingErr   error
}

func bindRaw(types *isf.File) (v rawViews) {
	b := kstruct.NewBinder(types)
	v.heads = kstruct.BindMember(b, "raw_hashinfo", "ht")
	v.rawNulls = ofNulls(v.heads)
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.ping = kstruct.BindMember(b, "ping_table", "hash")
	v.pingNulls = ofNulls(v.ping)
	v.pingErr = b.Err()
	return v
}

// ofNulls reports whether a member is an array of hlist_nulls_head.
func ofNulls(m kstruct.Member) bool {
	return m.Ok() && m.Type().Elem != nil && m.Type().Elem.Name == "hlist_nulls_head"
}

var (
	rawTable  = table{object: "raw sockets", families: []Family{Inet, Inet6}, protos: []string{"RAW", "RAWv6"}}
	pingTable = table{object: "ping sockets", families: []Family{Inet, Inet6}, protos: []string{"PING", "PINGv6"}}
)

// walkRaw adds the raw sockets: of raw_v4_hashinfo and raw_v6_hashinfo, which are exported.
// They had chains of hlist_nulls for a while, from 5.19 on.
func (f *finder) walkRaw() {
	v := &f.v.raw
	f.tables.raw = true
	for _, symbol := range [...]string{"raw_v4_hashinfo", "raw_v6_hashinfo"} {
		at, err := f.k.Symbol(symbol)
		if err == nil {
			err = v.err
		}
		if err != nil {
			f.tables.raw = false
			if symbol == "raw_v4_hashinfo" || v.err != nil { // a kernel may have no IPv6
				f.loseAt(rawTable.object, at, err)
			}
			continue
		}
		f.walkHeads(&rawTable, v.heads.Of(at), v.heads.Count(), v.rawNulls)
	}
}

// walkHeads adds the sockets of an array of heads.
func (f *finder) walkHeads(t *table, at vmem.VirtAddr, n uint64, nulls bool) {
	w := f.walk(t.object)
	f.buckets(t.object, hashTable{at: at, n: n, stride: 8, nulls: nulls}, func(_ uint64, head vmem.VirtAddr) {
		if nulls {
			f.chain(t, w.HListNulls(head), f.v.node.Offset(), InTable, nil)
		} else {
			f.chain(t, w.HList(head), f.v.node.Offset(), InTable, nil)
		}
	})
}

// walkPing adds the sockets that ping without being raw. Their table is static: where its
// symbol is not known, it is found from one of them that a process has open.
func (f *finder) walkPing() {
	v := &f.v.raw
	if v.pingErr != nil {
		f.loseAt(pingTable.object, 0, v.pingErr)
		return
	}
	at, err := f.k.Symbol("ping_table")
	if err != nil {
		at = f.pingTableOf()
	}
	if at == 0 {
		return // no process has one open: what else there could be, nobody holds
	}
	f.walkHeads(&pingTable, v.ping.Of(at), v.ping.Count(), v.pingNulls)
}

// pingTableOf finds the table from a ping socket: its chain leads back to the head, which is
// number so-and-so of the table (ping_hashfn of net/ipv4/ping.c).
func (f *finder) pingTableOf() vmem.VirtAddr {
	v := &f.v.raw
	for _, addr := range f.openList {
		var c sockCommon
		if f.v.common.Read(f.mem, addr, &c) != nil || c.Num == 0 {
			continue
		}
		p := f.protoAt(c.Proto)
		n := f.spaceAt(c.Net)
		if p == nil || n == nil || p.name != "PING" && p.name != "PINGv6" {
			continue
		}
		head, err := f.headOf(f.v.node.Of(addr))
		if err != nil {
			f.loseAt(pingTable.object, addr, err)
			continue
		}
		i := uint64(uint32(c.Num)+n.Mix) & (v.ping.Count() - 1)
		return v.ping.Container(head - vmem.VirtAddr(8*i))
	}
	return 0
}

// headOf returns the head of the chain that a node is in.
func (f *finder) headOf(node vmem.VirtAddr) (vmem.VirtAddr, error) {
	for range maxStrangers {
		back, err := f.mem.Uint64(node + 8) // pprev: of the next of the node before, or the head
		if err != nil {
			return 0, err
		}
		at := vmem.VirtAddr(back)
		if at >= 0xffffffff80000000 { // in the kernel's image, as the table is
			return at, nil
		}
		if !plausible(at) {
			break
		}
		node = at
	}
	return 0, fmt.Errorf("%w: no head of the chain of a ping socket", kstruct.ErrCorrupt)
}
