package bpf

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// chunk is how many pointers or how many bytes of an array are read at once.
const chunk = 512

// array walks struct bpf_array (kernel/bpf/arraymap.c).
func (r *elements) array() {
	v := &r.views.maps.content
	size, err := v.elemSize.Load(r.mem, r.m.Address)
	if err == nil && (size == 0 || size < r.m.ValueSize || size > maxElement+8) {
		err = corrupt("elements of %d bytes for values of %d", size, r.m.ValueSize)
	}
	if err != nil || !v.array.Ok() {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_array")))
		return
	}
	base := v.array.Of(r.m.Address)
	if !r.fits(base, r.m.MaxEntries, uint64(size)) {
		return
	}
	var run hole
	for i := uint64(0); i < uint64(r.m.MaxEntries); i++ {
		at := base + vmem.VirtAddr(i*uint64(size))
		value := make([]byte, r.m.ValueSize)
		n, err := r.mem.ReadVirt(value, at)
		if err != nil {
			if !run.add(r, at, err) {
				return
			}
			if n == 0 { // nor can what begins in the same page
				rest := vmem.PageSize - uint64(at)%vmem.PageSize
				i += max((rest+uint64(size)-1)/uint64(size), 1) - 1
			}
			continue
		}
		run = hole{}
		if !r.give(Element{Key: number(uint32(i)), Value: value}) {
			return
		}
	}
}

// minLimit is how many bytes an array may always have, whatever is left of the memory that it was in.
const minLimit = 16 << 30

// fits reports whether n elements of a size can be in the memory of the machine; if not, that is lost.
func (r *elements) fits(base vmem.VirtAddr, n uint32, size uint64) bool {
	limit := uint64(0)
	for _, m := range r.k.Physical().Ranges() {
		limit += m.Size
	}
	if limit = max(limit, minLimit); uint64(n)*size > limit {
		r.lose(base, corrupt("%d elements of %d bytes, more than the memory of %d", n, size, limit))
		return false
	}
	return true
}

// A hole is a run of elements that are lost one after the other, which is one loss.
type hole struct{ open bool }

// add adds an element to the run, and reports whether to go on.
func (h *hole) add(r *elements, at vmem.VirtAddr, err error) bool {
	if h.open {
		return r.alive()
	}
	h.open = true
	return r.lose(at, err)
}

// slots walks an array of pointers, those that are set.
func (r *elements) slots(base vmem.VirtAddr, n uint32, each func(i uint32, p vmem.VirtAddr) bool) {
	if !r.fits(base, n, 8) {
		return
	}
	var run hole
	for i := uint32(0); i < n; i += chunk {
		at := base + vmem.VirtAddr(i)*8
		all, err := r.Set.pointers(at, int(min(chunk, n-i)))
		for j, p := range all {
			if p != 0 && !each(i+uint32(j), p) {
				return
			}
		}
		if err == nil {
			run = hole{}
		} else if !run.add(r, at, err) {
			return
		}
	}
}

// pointers walks arrays of what is elsewhere.
func (r *elements) pointers() {
	v := &r.views.maps.content
	if !v.array.Ok() {
		r.lose(r.m.Address, unsupported("no struct bpf_array"))
		return
	}
	r.slots(v.array.Of(r.m.Address), r.m.MaxEntries, func(i uint32, p vmem.VirtAddr) bool {
		e := Element{Key: number(i), Object: p}
		var err error
		switch r.m.Type {
		case PerCPUArray:
			e.Object = 0
			e.PerCPU, err = r.percpu(p)
		case PerfEventArray:
			e.Object, err = v.event.Load(r.mem, p)
		default:
			e.Value, err = r.idOf(p)
		}
		if err != nil {
			return r.lose(p, err)
		}
		return r.give(e)
	})
}

// idOf returns the ID of a program or a map that a map holds, as a process reads it; nil for
// what has none.
func (r *elements) idOf(p vmem.VirtAddr) ([]byte, error) {
	switch r.m.Type {
	case ProgArray:
		if q := r.byAddr[p]; q != nil {
			return number(q.ID), nil
		}
		q, err := r.readProgram(p)
		if err != nil {
			return nil, err
		}
		return number(q.ID), nil
	case ArrayOfMaps, HashOfMaps:
		if q := r.mapAt[p]; q != nil {
			return number(q.ID), nil
		}
		q, err := r.readMap(p)
		if err != nil {
			return nil, err
		}
		return number(q.ID), nil
	}
	return nil, nil
}

// queue walks struct bpf_queue_stack in the order in which its elements are taken out.
func (r *elements) queue() {
	q, err := r.views.maps.content.queue.Load(r.mem, r.m.Address)
	if err == nil && (q.Size == 0 || q.Head >= q.Size || q.Tail >= q.Size || r.m.ValueSize == 0) {
		err = corrupt("a ring of %d from %d to %d, of values of %d bytes", q.Size, q.Tail, q.Head, r.m.ValueSize)
	}
	if err != nil {
		r.lose(r.m.Address, err)
		return
	}
	head, tail, ring := uint64(q.Head), uint64(q.Tail), uint64(q.Size)
	n := (head + ring - tail) % ring
	if !r.fits(q.Elems, q.Size, uint64(r.m.ValueSize)) {
		return
	}
	var run hole
	for i := range n {
		at := (tail + i) % ring
		if r.m.Type == Stack {
			at = (head + ring - 1 - i) % ring
		}
		value, err := r.bytes(q.Elems+vmem.VirtAddr(at*uint64(r.m.ValueSize)), r.m.ValueSize)
		if err != nil {
			if !run.add(r, q.Elems, err) {
				return
			}
			continue
		}
		run = hole{}
		if !r.give(Element{Value: value}) {
			return
		}
	}
}

// stackBuildID is BPF_F_STACK_BUILD_ID, with which entries are struct bpf_stack_build_id.
const stackBuildID = 1 << 5

// stacks walks struct bpf_stack_map (kernel/bpf/stackmap.c).
func (r *elements) stacks() {
	v := &r.views.maps.content
	n, err := v.numStack.Load(r.mem, r.m.Address)
	if err != nil || !v.stacks.Ok() {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_stack_map")))
		return
	}
	size := uint32(8)
	if r.m.Flags&stackBuildID != 0 {
		size = 32
	}
	r.slots(v.stacks.Of(r.m.Address), min(n, maxBuckets), func(i uint32, p vmem.VirtAddr) bool {
		b, err := v.stack.Load(r.mem, p)
		if err == nil && uint64(b.Count)*uint64(size) > uint64(r.m.ValueSize) {
			err = corrupt("a stack of %d entries", b.Count)
		}
		var data []byte
		if err == nil {
			data, err = r.bytes(b.Data, b.Count*size)
		}
		if err != nil {
			return r.lose(p, err)
		}
		return r.give(Element{Key: number(i), Value: append(data, make([]byte, r.m.ValueSize-b.Count*size)...)})
	})
}

// devices walks struct bpf_dtab (kernel/bpf/devmap.c).
func (r *elements) devices() {
	v := &r.views.maps.content
	give := func(i uint32, p vmem.VirtAddr) bool {
		d, err := v.dev.Load(r.mem, p)
		var value []byte
		if err == nil {
			value, err = r.bytes(d.Value, r.m.ValueSize)
		}
		if err != nil {
			return r.lose(p, err)
		}
		return r.give(Element{Key: number(i), Value: value, Object: d.Dev})
	}
	if r.m.Type == DevMap {
		base, err := v.devs.Load(r.mem, r.m.Address)
		if err != nil {
			r.lose(r.m.Address, err)
			return
		}
		r.slots(base, r.m.MaxEntries, give)
		return
	}
	base, err := v.devHash.Load(r.mem, r.m.Address)
	n, err2 := v.devCount.Load(r.mem, r.m.Address)
	if err != nil || err2 != nil || !v.devNode.Ok() {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_dtab")))
		return
	}
	w := r.walk()
	for i := range vmem.VirtAddr(min(n, maxBuckets)) {
		for node, err := range w.HList(base + i*8) {
			if err != nil {
				if !r.lose(base, err) {
					return
				}
				continue
			}
			at := v.devNode.Container(node)
			d, err := v.dev.Load(r.mem, at)
			if err != nil && !r.lose(at, err) || err == nil && !give(d.Index, at) {
				return
			}
		}
	}
}

// cpuMap walks struct bpf_cpu_map (kernel/bpf/cpumap.c).
func (r *elements) cpuMap() {
	v := &r.views.maps.content
	base, err := v.cpus.Load(r.mem, r.m.Address)
	if err != nil {
		r.lose(r.m.Address, err)
		return
	}
	r.slots(base, r.m.MaxEntries, func(i uint32, p vmem.VirtAddr) bool {
		c, err := v.cpu.Load(r.mem, p)
		var value []byte
		if err == nil {
			value, err = r.bytes(c.Value, r.m.ValueSize)
		}
		if err != nil {
			return r.lose(p, err)
		}
		return r.give(Element{Key: number(i), Value: value, Object: c.Program})
	})
}

// structOps reads the one value of a map of the type struct_ops: what a loader set, with the state
// and the references that the kernel has of it (bpf_struct_ops_map_sys_lookup_elem).
func (r *elements) structOps() {
	v := &r.views.maps.content
	at, err := v.uvalue.Load(r.mem, r.m.Address)
	if err != nil || !v.kvalue.Ok() {
		r.lose(r.m.Address, cause(err, unsupported("no struct bpf_struct_ops_map")))
		return
	}
	value := make([]byte, r.m.ValueSize)
	state, err := r.mem.Uint32(v.kvalue.Of(r.m.Address) + 4) // struct bpf_struct_ops_common_value: refcnt, state
	if err == nil && state != 0 {
		_, err = r.mem.ReadVirt(value, at)
	}
	if err != nil {
		r.lose(at, err)
		return
	}
	if state != 0 && len(value) >= 8 {
		binary.LittleEndian.PutUint32(value, uint32(max(r.m.References-r.m.Users, 0)))
		binary.LittleEndian.PutUint32(value[4:], state)
	}
	r.give(Element{Key: number(0), Value: value})
}
