package socket

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

const (
	// maxBuckets bounds a hash table: the kernel's own bound for TCP is 16 times less.
	maxBuckets = 1 << 24
	// maxStrangers is how many nodes of a chain, from its first one on, may be no sockets of
	// its table. Such a chain was overwritten, and leads through anything.
	maxStrangers = 64
	// maxFamilies is above AF_MAX of include/linux/socket.h, which grows.
	maxFamilies = 64
)

// A table is a kind of tables of sockets.
type table struct {
	object   string
	families []Family
	protos   []string // names of the protocols that it has
}

// A hashTable is an array of heads of chains.
type hashTable struct {
	at     vmem.VirtAddr // of the first head
	n      uint64        // heads
	stride uint64        // from one head to the next, in bytes
	nulls  bool          // empty chains have an odd number, not 0
}

// buckets calls walk with the number and the address of each head of a chain that is not
// empty. Heads are read many at a time: most are empty.
func (f *finder) buckets(object string, t hashTable, walk func(i uint64, head vmem.VirtAddr)) {
	if t.n > maxBuckets {
		f.loseAt(object, t.at, corrupt("table of %d chains", t.n))
		return
	}
	var run lostRun
	per := uint64(len(f.bytes)) / t.stride
	buf := make([]byte, min(per, t.n)*t.stride) // for walk may read as well
	for first := uint64(0); first < t.n && f.ctx.Err() == nil; {
		at := t.at + vmem.VirtAddr(first*t.stride)
		b := buf[:min(per, t.n-first)*t.stride]
		got, err := f.mem.ReadVirt(b, at)
		whole := uint64(got) / t.stride
		if uint64(got)%t.stride >= 8 {
			whole++ // all that is wanted of the last one
		}
		for i := range whole {
			head := binary.LittleEndian.Uint64(b[i*t.stride:])
			if head == 0 && !t.nulls || t.nulls && head&1 != 0 {
				continue
			}
			walk(first+i, at+vmem.VirtAddr(i*t.stride))
		}
		first += whole
		if err == nil {
			continue
		}
		// The rest of the page is lost.
		bad := t.at + vmem.VirtAddr(first*t.stride)
		next := (bad | (vmem.PageSize - 1)) + 1
		skip := (uint64(next-t.at) + t.stride - 1) / t.stride
		run.add(first, min(skip, t.n), bad, err)
		first = skip
	}
	run.tell(f, object)
}

// A lostRun is the chains of a table that could not be read.
type lostRun struct {
	n   uint64
	at  vmem.VirtAddr
	err error
}

func (r *lostRun) add(from, to uint64, at vmem.VirtAddr, err error) {
	if r.n == 0 {
		r.at, r.err = at, err
	}
	r.n += to - from
}

func (r *lostRun) tell(f *finder, object string) {
	if r.n > 0 {
		f.loseAt(object, r.at, fmt.Errorf("%d chains of the table: %w", r.n, r.err))
	}
}

// A chainWalk is what chain keeps while it goes over a chain: one value, for each variable that
// the body of a loop over an iterator has in common with what is around it is allocated.
type chainWalk struct {
	f         *finder
	t         *table
	offset    vmem.VirtAddr // of the links in a socket
	from      Sources
	also      func(*Socket)
	strangers int
	sound     bool
}

// chain adds the sockets of a chain, whose nodes have such an offset in them, and calls also,
// if it is not nil, with each of them.
func (f *finder) chain(t *table, nodes iter.Seq2[vmem.VirtAddr, error], offset uint64, from Sources, also func(*Socket)) {
	c := &chainWalk{f: f, t: t, offset: vmem.VirtAddr(offset), from: from, also: also}
	for node, err := range nodes {
		if !c.visit(node, err) {
			return
		}
	}
}

// hchain is chain for the list of the head at an address, of hlist_nodes or, with nulls, of hlist_nulls_nodes that end with
// one of the values, if there are any. Most chains of a large table have one node: for these no walk is begun, which would cost
// more than what it finds.
func (f *finder) hchain(t *table, w *kstruct.Walk, head vmem.VirtAddr, nulls bool, offset uint64, from Sources, also func(*Socket), end ...uint64) {
	if node, ok := f.single(head, nulls, end...); ok && f.singles < 4*f.opts.Limit {
		f.singles++
		c := chainWalk{f: f, t: t, offset: vmem.VirtAddr(offset), from: from, also: also}
		c.visit(node, nil)
		return
	}
	if nulls {
		f.chain(t, w.HListNulls(head, end...), offset, from, also)
	} else {
		f.chain(t, w.HList(head), offset, from, also)
	}
}

// single returns the only node of a list, and whether it is that: it points back to the head, and nothing comes behind it.
// Nodes begin with the pointer to the next, and the one back follows (include/linux/types.h, list_nulls.h).
func (f *finder) single(head vmem.VirtAddr, nulls bool, end ...uint64) (vmem.VirtAddr, bool) {
	first, err := f.mem.Uint64(head)
	node := vmem.VirtAddr(first)
	if err != nil || !plausible(node) {
		return 0, false
	}
	next, err := f.mem.Uint64(node)
	if err != nil || nulls && (next&1 == 0 || len(end) > 0 && next>>1 != end[0]) || !nulls && next != 0 {
		return 0, false
	}
	back, err := f.mem.Uint64(node + 8)
	return node, err == nil && vmem.VirtAddr(back) == head
}

// visit adds the socket of a node, and reports whether to go on.
func (c *chainWalk) visit(node vmem.VirtAddr, err error) bool {
	if err != nil {
		c.f.lose(c.t.object, err)
		return true
	}
	s, err := c.f.add(c.t, node-c.offset, c.from)
	switch {
	case err != nil:
		return c.stranger(node, err)
	case s != nil && c.also != nil:
		c.also(s)
	}
	c.sound = true
	return true
}

// stranger tells of a node that is in no socket, and reports whether to go on.
func (c *chainWalk) stranger(node vmem.VirtAddr, err error) bool {
	c.f.loseAt(c.t.object, node-c.offset, err)
	if c.strangers++; c.sound || c.strangers < maxStrangers {
		return true
	}
	c.f.loseAt(c.t.object, node, fmt.Errorf("%w: none of the first %d nodes of a chain is a socket, and those that follow are not read", kstruct.ErrTooMany, c.strangers))
	return false
}

// add adds the socket at addr, which it verifies to be one of the table's. It returns nil
// without an error for one that goes over the limit.
func (f *finder) add(t *table, addr vmem.VirtAddr, from Sources) (*Socket, error) {
	if s := f.byAddr[addr]; s != nil {
		if s.Sources&from&InTable != 0 {
			s.Anomalies |= TwiceInTable
		}
		s.Sources |= from
		return s, nil
	}
	c := &f.common
	if !plausible(addr) {
		return nil, corrupt("socket pointer %v", addr)
	}
	if err := f.v.common.Read(f.mem, addr, c); err != nil {
		return nil, err
	}
	n, err := f.verify(t, c)
	if err != nil {
		return nil, err
	}
	if len(f.all) >= f.opts.Limit {
		f.over++
		return nil, nil
	}
	s := f.slab.next()
	s.Addr, s.NetNS, s.Sources = addr, n.Inum, from
	if err := f.fill(s, c); err != nil {
		*s = Socket{}
		return nil, err
	}
	f.byAddr[addr] = s
	f.all = append(f.all, s)
	return s, nil
}

// verify returns the namespace of what begins with c, or what keeps it from being a socket of
// the table.
func (f *finder) verify(t *table, c *sockCommon) (*space, error) {
	if len(t.families) > 0 && !slices.Contains(t.families, Family(c.Family)) {
		return nil, corrupt("socket of family %v", Family(c.Family))
	}
	if c.Family == 0 || c.Family >= maxFamilies {
		return nil, corrupt("socket of family %v", Family(c.Family))
	}
	if c.Refs <= 0 {
		return nil, corrupt("socket with %d references", c.Refs)
	}
	p := f.protoAt(c.Proto)
	if p == nil || len(t.protos) > 0 && !slices.Contains(t.protos, p.name) {
		return nil, corrupt("socket of protocol %v", c.Proto)
	}
	n := f.spaceAt(c.Net)
	if n == nil {
		return nil, corrupt("socket of namespace %v", c.Net)
	}
	return n, nil
}

// A proto is a struct proto.
type proto struct{ name string }

// protoAt returns the protocol at addr, nil where none is.
func (f *finder) protoAt(addr vmem.VirtAddr) *proto {
	if p, ok := f.protos[addr]; ok {
		return p
	}
	var p *proto
	var s protoStruct
	if plausible(addr) && f.v.proto.Read(f.mem, addr, &s) == nil {
		if name := text(s.Name[:]); printable(name) && uint64(s.Size) >= f.v.common.Size() && s.Size < 1<<16 {
			p = &proto{name: name}
		}
	}
	f.protos[addr] = p
	return p
}

// text returns b up to its first NUL.
func text(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// printable reports whether a short name of the kernel's own can be one.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
