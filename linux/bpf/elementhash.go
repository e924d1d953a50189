package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxBuckets is how many chains of a hash are walked.
const maxBuckets = 1 << 24

// hash walks struct bpf_htab (kernel/bpf/hashtab.c): the chains of its buckets, and in what was
// allocated beforehand the elements that were deleted.
func (r *elements) hash() {
	v := &r.views.maps.content
	h, err := v.htab.Load(r.mem, r.m.Address)
	bucket, err2 := r.k.Symbols().UserType("bucket")
	if err != nil || err2 != nil || !v.elem.Ok() || !v.elemNode.Ok() {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_htab")))
		return
	}
	if h.NumBuckets > maxBuckets || h.NumBuckets&(h.NumBuckets-1) != 0 {
		r.lose(r.m.Address, corrupt("a hash of %d chains", h.NumBuckets))
		return
	}
	if !r.fits(h.Buckets, h.NumBuckets, bucket.Size) {
		return
	}
	r.seen = map[vmem.VirtAddr]bool{}
	w := r.walk()
	var run hole
	for i := range uint64(h.NumBuckets) {
		head := h.Buckets + vmem.VirtAddr(i*bucket.Size)
		first, err := r.ptr(head)
		if err != nil {
			if !run.add(r, head, err) {
				return
			}
			continue
		}
		if run = (hole{}); first&1 != 0 { // it is empty
			continue
		}
		for node, err := range w.HListNulls(head, i) {
			if err != nil {
				if !r.lose(head, err) {
					return
				}
				continue
			}
			if !r.hashElement(v.elemNode.Container(node)) {
				return
			}
		}
	}
	if r.dead {
		r.deleted(&h)
		return
	}
	// Those whose elements were allocated beforehand don't count.
	if want, got := r.hashCount(&h), int64(len(r.seen)); r.m.Flags&noPrealloc != 0 && want != got && want >= 0 {
		r.lose(r.m.Address, fmt.Errorf("%w: the kernel counts %d elements, found are %d", kstruct.ErrCorrupt, want, got))
	}
}

// hashElement yields the element at an address.
func (r *elements) hashElement(at vmem.VirtAddr) bool {
	if r.seen[at] = true; r.dead {
		return true
	}
	key := r.views.maps.content.elem.Of(at)
	value := key + vmem.VirtAddr(roundUp(r.m.KeySize, 8))
	var e Element
	var err error
	if e.Key, err = r.bytes(key, r.m.KeySize); err != nil {
		return r.lose(at, err)
	}
	switch r.m.Type {
	case Hash, LRUHash:
		e.Value, err = r.bytes(value, r.m.ValueSize)
	default:
		if r.m.Type != HashOfMaps && !r.views.maps.content.rounded {
			value = key + vmem.VirtAddr(r.m.KeySize)
		}
		var p vmem.VirtAddr
		if p, err = r.ptr(value); err != nil {
			break
		}
		if r.m.Type == HashOfMaps {
			e.Object = p
			e.Value, err = r.idOf(p)
		} else {
			e.PerCPU, err = r.percpu(p)
		}
	}
	if err != nil {
		return r.lose(at, err)
	}
	return r.give(e)
}

// deleted yields elements that are in no chain.
func (r *elements) deleted(h *htabStruct) {
	v := &r.views.maps.content
	if r.m.Flags&noPrealloc != 0 || h.Elems == 0 || r.m.Type != Hash && r.m.Type != LRUHash {
		return
	}
	size := roundUp(r.m.KeySize, 8) + r.m.ValueSize
	if h.ElemSize < size || size == 0 {
		r.lose(r.m.Address, corrupt("elements of %d bytes for keys and values of %d", h.ElemSize, size))
		return
	}
	if !r.fits(h.Elems, r.m.MaxEntries, uint64(h.ElemSize)) {
		return
	}
	var run hole
	for i := range uint64(r.m.MaxEntries) {
		at := h.Elems + vmem.VirtAddr(i*uint64(h.ElemSize))
		if !r.alive() {
			return
		}
		if r.seen[at] {
			continue
		}
		b, err := r.bytes(v.elem.Of(at), size)
		if err != nil {
			if !run.add(r, at, err) {
				return
			}
			continue
		}
		run = hole{}
		if isZero(b) {
			continue
		}
		if !r.give(Element{Key: b[:r.m.KeySize], Value: b[roundUp(r.m.KeySize, 8):]}) {
			return
		}
	}
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// maxTrieDepth is how deep a trie can be: a node for each bit of a key, of which there are 2048.
const maxTrieDepth = 2049

// trie walks struct lpm_trie (kernel/bpf/lpm_trie.c) in the order of its keys.
func (r *elements) trie() {
	v := &r.views.maps.content
	t, err := v.trie.Load(r.mem, r.m.Address)
	if err == nil && t.DataSize+4 != uint64(r.m.KeySize) {
		err = corrupt("keys of %d bytes in a trie of %d", r.m.KeySize, t.DataSize)
	}
	if err != nil {
		r.lose(r.m.Address, err)
		return
	}
	n, budget := uint64(0), 2*uint64(r.m.MaxEntries)+1
	var visit func(at vmem.VirtAddr, depth int) bool
	visit = func(at vmem.VirtAddr, depth int) bool {
		if at == 0 {
			return true
		}
		if budget--; budget == 0 || depth > maxTrieDepth {
			r.lose(at, kstruct.ErrTooLong)
			return false
		}
		node, err := v.trieNode.Load(r.mem, at)
		if err == nil && uint64(node.Prefix) > t.DataSize*8 {
			err = corrupt("a prefix of %d bits", node.Prefix)
		}
		if err != nil {
			return r.lose(at, err)
		}
		if node.Flags&1 == 0 { // LPM_TREE_NODE_FLAG_IM: a node that only joins two others
			data, err := r.bytes(node.Data, uint32(t.DataSize)+r.m.ValueSize)
			if err != nil {
				return r.lose(at, err)
			}
			n++
			key := append(binary.LittleEndian.AppendUint32(nil, node.Prefix), data[:t.DataSize]...)
			if !r.give(Element{Key: key, Value: data[t.DataSize:]}) {
				return false
			}
		}
		return visit(node.Child[0], depth+1) && visit(node.Child[1], depth+1)
	}
	if visit(t.Root, 0) && n != t.Count {
		r.lose(r.m.Address, corrupt("the kernel counts %d elements, found are %d", t.Count, n))
	}
}

// sockets walks arrays of sockets: struct bpf_stab (net/core/sock_map.c), struct xsk_map and
// struct reuseport_array.
func (r *elements) sockets() {
	v := &r.views.maps.content
	base, err := vmem.VirtAddr(0), error(nil)
	switch {
	case r.m.Type == SockMap:
		base, err = v.socks.Load(r.mem, r.m.Address)
	case r.m.Type == XSKMap && v.xsks.Ok():
		base = v.xsks.Of(r.m.Address)
	case v.ports.Ok():
		base = v.ports.Of(r.m.Address)
	}
	if err != nil || base == 0 {
		r.lose(r.m.Address, cause(err, unsupported("no type of maps of sockets")))
		return
	}
	r.slots(base, r.m.MaxEntries, func(i uint32, p vmem.VirtAddr) bool {
		return r.give(Element{Key: number(i), Value: r.cookieOf(p), Object: p})
	})
}

// cookieOf returns the cookie of a socket where values have room for it, as a process reads it.
func (r *elements) cookieOf(sock vmem.VirtAddr) []byte {
	const size = 8
	if r.m.ValueSize != size || r.m.Type == XSKMap {
		return nil
	}
	c, err := r.views.maps.content.cookie.Load(r.mem, sock)
	if err != nil {
		r.lose(sock, err)
		return nil
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(c))
}

// socketHash walks struct bpf_shtab (net/core/sock_map.c).
func (r *elements) socketHash() {
	v := &r.views.maps.content
	base, err := v.sockHash.Load(r.mem, r.m.Address)
	n, err2 := v.sockNum.Load(r.mem, r.m.Address)
	t, err3 := r.k.Symbols().UserType("bpf_shtab_bucket")
	if err != nil || err2 != nil || err3 != nil || !v.sockNode.Ok() {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_shtab")))
		return
	}
	w := r.walk()
	for i := range uint64(min(n, maxBuckets)) {
		for node, err := range w.HList(base + vmem.VirtAddr(i*t.Size)) {
			var e sockElem
			at := v.sockNode.Container(node)
			if err == nil {
				e, err = v.sock.Load(r.mem, at)
			}
			var key []byte
			if err == nil {
				key, err = r.bytes(e.Key, r.m.KeySize)
			}
			if err != nil && !r.lose(at, err) || err == nil && !r.give(Element{Key: key, Value: r.cookieOf(e.Sock), Object: e.Sock}) {
				return
			}
		}
	}
}

// storage walks struct bpf_local_storage_map (kernel/bpf/bpf_local_storage.c): what is kept for sockets,
// inodes, tasks and cgroups.
func (r *elements) storage() {
	v := &r.views.maps.content
	base, err := v.storages.Load(r.mem, r.m.Address)
	log, err2 := v.storeLog.Load(r.mem, r.m.Address)
	t, err3 := r.k.Symbols().UserType("bpf_local_storage_map_bucket")
	if err != nil || err2 != nil || err3 != nil || !v.storeAt.Ok() || log > 24 {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_local_storage_map")))
		return
	}
	w := r.walk()
	for i := range uint64(1) << log {
		for node, err := range w.HList(base + vmem.VirtAddr(i*t.Size)) {
			var e storageElem
			at := v.storeAt.Container(node)
			if err == nil {
				e, err = v.store.Load(r.mem, at)
			}
			if err == nil && e.Map != r.m.Address {
				err = corrupt("an element of another map, %v", e.Map)
			}
			var out Element
			if err == nil {
				out.Value, err = r.bytes(e.Data, r.m.ValueSize)
			}
			if err == nil && e.Storage != 0 {
				out.Object, err = v.owner.Load(r.mem, e.Storage)
			}
			if err != nil && !r.lose(at, err) || err == nil && !r.give(out) {
				return
			}
		}
	}
}

// cgroupStorage walks struct bpf_cgroup_storage_map (kernel/bpf/local_storage.c).
func (r *elements) cgroupStorage() {
	v := &r.views.maps.content
	if !v.cgroups.Ok() || !v.cgroup.Ok() || !v.cgData.Ok() {
		r.lose(r.m.Address, unsupported("no struct bpf_cgroup_storage_map"))
		return
	}
	w := r.walk()
	for at, err := range w.Entries(w.List(v.cgroups.Of(r.m.Address)), "bpf_cgroup_storage", "list_map") {
		var c cgroupElem
		var e Element
		if err == nil {
			c, err = v.cgroup.Load(r.mem, at)
		}
		if err == nil {
			e.Key, err = r.bytes(c.Key, r.m.KeySize)
		}
		if err == nil && r.m.Type == CgroupStorage {
			e.Value, err = r.bytes(v.cgData.Of(c.Buf), r.m.ValueSize)
		} else if err == nil {
			e.PerCPU, err = r.percpu(c.Buf)
		}
		if err != nil && !r.lose(at, err) || err == nil && !r.give(e) {
			return
		}
	}
}
