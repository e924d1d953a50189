// Package ipset reads the sets of ipset, with their elements, as ipset save shows them.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own.
//
// The types that are known are hash:ip, hash:net, hash:mac and all hash types of several
// addresses, ports, nets and devices, bitmap:port, bitmap:ip and list:set. Sets of others come
// without elements, with an error that wraps [kstruct.ErrUnsupported].
package ipset

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/jiffies"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// A Set is a set of ipset, struct ip_set (include/linux/netfilter/ipset/ip_set.h).
type Set struct {
	NetNS    uint32        `json:"netns"`
	Index    uint16        `json:"index"` // by which rules refer to it
	Name     string        `json:"name"`
	Type     string        `json:"type"`             // such as hash:ip,port
	Family   string        `json:"family,omitempty"` // inet, inet6; empty where the type has none
	Header   string        `json:"header,omitempty"` // its options, as ipset save has them; what is random is left out
	Count    uint32        `json:"count"`            // of elements, as the set has it; 0 for hash types where parts of the table count, as in 5.10
	Elements []Element     `json:"elements,omitempty"`
	Addr     vmem.VirtAddr `json:"address"` // of struct ip_set
}

// An Element is an element of a set.
type Element struct {
	Value   string `json:"value"` // as ipset save has it, such as 10.0.0.1,tcp:80
	NoMatch bool   `json:"nomatch,omitempty"`
	// Timeout is how many seconds are left; -1 where the set has no times, 0 for an element that stays.
	Timeout int64   `json:"timeout"`
	Packets *uint64 `json:"packets,omitempty"` // nil where the set has no counters
	Bytes   *uint64 `json:"bytes,omitempty"`
	Comment string  `json:"comment,omitempty"`
}

// String returns the element as ipset save writes it.
func (e *Element) String() string {
	s := e.Value
	if e.Timeout >= 0 {
		s += fmt.Sprint(" timeout ", e.Timeout)
	}
	if e.Packets != nil && e.Bytes != nil {
		s += fmt.Sprintf(" packets %d bytes %d", *e.Packets, *e.Bytes)
	}
	if e.Comment != "" {
		s += ` comment "` + e.Comment + `"`
	}
	if e.NoMatch {
		s += " nomatch"
	}
	return s
}

// String returns the set as ipset save writes it.
func (s *Set) String() string {
	var b strings.Builder
	b.WriteString("create " + s.Name + " " + s.Type)
	if s.Header != "" {
		b.WriteString(" " + s.Header)
	}
	b.WriteString("\n")
	for i := range s.Elements {
		b.WriteString("add " + s.Name + " " + s.Elements[i].String() + "\n")
	}
	return b.String()
}

// Limits of what is read of one namespace.
const (
	maxSets     = 1 << 16
	maxElements = 1 << 20
)

const setModule = "ip_set"

// A setStruct is struct ip_set.
type setStruct struct {
	Name       [32]byte      `kernel:"name"`
	Type       vmem.VirtAddr `kernel:"type"`
	Family     uint8         `kernel:"family"`
	Extensions uint8         `kernel:"extensions"`
	Timeout    uint32        `kernel:"timeout"`
	Elements   uint32        `kernel:"elements"`
	Size       uint64        `kernel:"dsize"`
	Offsets    [4]uint64     `kernel:"offset"`
	Data       vmem.VirtAddr `kernel:"data"`
}

// Sets yields the sets of a network namespace by their number.
//
// The anchor is what ip_set keeps for a namespace (net_generic with ip_set_net_id, which is
// static: where there is no such symbol, it is known by its array of sets).
func Sets(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) iter.Seq2[*Set, error] {
	return func(yield func(*Set, error) bool) {
		k.Physical().Refresh()
		r := &reader{ctx: ctx, src: &nfkit.Source{K: k, Mods: mods}, ns: ns, yield: yield, left: maxElements}
		r.read()
		if err := ctx.Err(); err != nil && !r.ended {
			yield(nil, err)
		}
	}
}

type reader struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	src   *nfkit.Source
	ns    *network.Namespace
	yield func(*Set, error) bool
	ended bool
	left  int

	set      *kstruct.View[setStruct]
	typeName kstruct.Member
	list     *kstruct.Field[vmem.VirtAddr]
	most     *kstruct.Field[uint16]
	time     jiffies.Time
	timeErr  error
}

func (r *reader) object() string { return "ipset of " + r.ns.String() }

func (r *reader) tell(s *Set, err error) {
	if !r.ended {
		r.ended = !r.yield(s, err)
	}
}

func (r *reader) lose(addr vmem.VirtAddr, err error) {
	if err != nil {
		r.tell(nil, nfkit.Gap(r.object(), addr, err))
	}
}

func (r *reader) read() {
	if r.src.Mods.Find(setModule) == nil {
		if _, err := r.src.K.Symbol("ip_set_get_byname"); err != nil {
			return // the kernel has no ipset
		}
	}
	types, lost := r.src.Types("ip_set", setModule)
	b := kstruct.NewBinder(types)
	r.set = kstruct.Bind[setStruct](b, "ip_set")
	r.typeName = kstruct.BindMember(b, "ip_set_type", "name")
	r.list = kstruct.BindField[vmem.VirtAddr](b, "ip_set_net", "ip_set_list")
	r.most = kstruct.BindField[uint16](b, "ip_set_net", "ip_set_max")
	if err := b.Err(); err != nil {
		r.lose(r.ns.Addr, cmp.Or(lost, err))
		return
	}
	at, err := r.src.Generic(r.ns.Addr, setModule, "ip_set_net_id", r.isNet)
	r.lose(r.ns.Addr, err)
	if at == 0 {
		return
	}
	if r.time, r.timeErr = r.src.Jiffies(); r.timeErr != nil {
		r.lose(0, fmt.Errorf("timeouts are not known: %w", r.timeErr))
	}
	for i, at := range r.sets(at, func(err error) { r.lose(at, err) }) {
		if r.ended || r.ctx.Err() != nil {
			return
		}
		s, err := r.readSet(uint16(i), at) //nolint:gosec // there are no more
		r.lose(at, err)
		if s != nil {
			r.tell(s, nil)
		}
	}
}

// sets returns the array of sets of a struct ip_set_net, and tells what of it can't be read.
func (r *reader) sets(at vmem.VirtAddr, lose func(error)) iter.Seq2[int, vmem.VirtAddr] {
	return func(yield func(int, vmem.VirtAddr) bool) {
		list, n, err := r.array(at)
		for i := 0; err == nil && i < n; i++ {
			var set uint64
			if set, err = r.src.Mem().Uint64(list + vmem.VirtAddr(8*i)); err == nil && set != 0 && !yield(i, vmem.VirtAddr(set)) {
				return
			}
		}
		if err != nil {
			lose(err)
		}
	}
}

// array returns where the array of sets of a struct ip_set_net is, and for how many.
func (r *reader) array(at vmem.VirtAddr) (list vmem.VirtAddr, n int, err error) {
	if list, err = r.list.Load(r.src.Mem(), at); err != nil {
		return 0, 0, err
	}
	if !nfkit.Plausible(list) {
		return 0, 0, nfkit.Pointer("ip_set_list", list)
	}
	most, err := r.most.Load(r.src.Mem(), at)
	return list, min(int(most), maxSets), err
}

// isNet reports whether a struct ip_set_net with sets is at addr.
func (r *reader) isNet(at vmem.VirtAddr) bool {
	n, err := r.most.Load(r.src.Mem(), at)
	if err != nil || n == 0 {
		return false
	}
	for _, set := range r.sets(at, func(error) {}) { // it can be anything
		if !nfkit.Plausible(set) {
			return false
		}
		s, err := r.set.Load(r.src.Mem(), set)
		return err == nil && nfkit.Printable(nfkit.Text(s.Name[:])) && r.nameOf(s.Type) != ""
	}
	return false
}

// nameOf returns the name of a struct ip_set_type, empty where there is none.
func (r *reader) nameOf(at vmem.VirtAddr) string {
	if !nfkit.Plausible(at) {
		return ""
	}
	name, err := r.src.Mem().CString(r.typeName.Of(at), 32)
	if err != nil || !strings.Contains(name, ":") || !nfkit.Printable(name) {
		return ""
	}
	return name
}

// readSet reads a set.
func (r *reader) readSet(index uint16, at vmem.VirtAddr) (*Set, error) {
	if !nfkit.Plausible(at) {
		return nil, nfkit.Pointer("ip_set", at)
	}
	raw, err := r.set.Load(r.src.Mem(), at)
	if err != nil {
		return nil, err
	}
	s := &Set{NetNS: r.ns.Inum, Index: index, Name: nfkit.Text(raw.Name[:]), Count: raw.Elements, Addr: at, Type: r.nameOf(raw.Type)}
	if !nfkit.Printable(s.Name) || s.Type == "" {
		return nil, nfkit.Corrupt("ip_set of the name %q and the type %v", s.Name, raw.Type)
	}
	switch raw.Family {
	case 2:
		s.Family = "inet"
	case 10:
		s.Family = "inet6"
	}
	err = r.elements(s, &raw)
	s.Header += r.options(&raw)
	s.Header = strings.TrimSpace(s.Header)
	return s, err
}

// The bits of extensions (enum ip_set_extension), and the order of their offsets (ip_set_ext_id).
const (
	hasTimeout = 1 << iota
	hasCounter
	hasComment
	hasMark

	counterAt = 0
	timeoutAt = 1
	commentAt = 3
)

// options writes what all types have.
func (r *reader) options(raw *setStruct) string {
	s := ""
	if raw.Extensions&hasTimeout != 0 {
		s += fmt.Sprint(" timeout ", raw.Timeout)
	}
	if raw.Extensions&hasCounter != 0 {
		s += " counters"
	}
	if raw.Extensions&hasComment != 0 {
		s += " comment"
	}
	if raw.Extensions&hasMark != 0 {
		s += " skbinfo"
	}
	return s
}

// addExtensions reads what an element at addr has besides its value, and reports whether it is
// still there: one whose time is over is not shown.
func (r *reader) addExtensions(e *Element, raw *setStruct, at vmem.VirtAddr) (live bool, err error) {
	mem := r.src.Mem()
	e.Timeout = -1
	off := func(i int) vmem.VirtAddr { return at + vmem.VirtAddr(min(raw.Offsets[i], 1<<12)) }
	if raw.Extensions&hasTimeout != 0 && r.timeErr == nil {
		until, err := mem.Uint64(off(timeoutAt))
		if err != nil {
			return true, err
		}
		e.Timeout = 0
		if until != 0 { // IPSET_ELEM_PERMANENT
			e.Timeout = int64(r.time.Left64(until) / time.Second)
			if r.time.Left64(until) == 0 {
				return false, nil
			}
		}
	}
	if raw.Extensions&hasCounter != 0 {
		bytes, err := mem.Uint64(off(counterAt))
		if err != nil {
			return true, err
		}
		packets, err := mem.Uint64(off(counterAt) + 8)
		if err != nil {
			return true, err
		}
		e.Bytes, e.Packets = &bytes, &packets
	}
	if raw.Extensions&hasComment != 0 {
		text, err := mem.Uint64(off(commentAt))
		if err != nil || text == 0 {
			return true, err
		}
		if !nfkit.Plausible(vmem.VirtAddr(text)) {
			return true, nfkit.Pointer("ip_set_comment_rcu", vmem.VirtAddr(text))
		}
		e.Comment, err = mem.CString(vmem.VirtAddr(text)+16, 256) // behind its rcu_head
		return true, err
	}
	return true, nil
}
