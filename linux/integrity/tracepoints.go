package integrity

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A tracepoint is struct tracepoint (include/linux/tracepoint-defs.h).
type tracepoint struct {
	Name     vmem.VirtAddr `kernel:"name"`
	Call     vmem.VirtAddr `kernel:"static_call_key,optional"` // since 5.10
	Iterator vmem.VirtAddr `kernel:"iterator,optional"`
	Funcs    vmem.VirtAddr `kernel:"funcs"`
}

// A tracepointFunc is struct tracepoint_func: a function that is called at a tracepoint.
type tracepointFunc struct {
	Func     vmem.VirtAddr `kernel:"func"`
	Data     vmem.VirtAddr `kernel:"data"`
	Priority int32         `kernel:"prio"`
}

type tracepointTable struct {
	First vmem.VirtAddr `kernel:"tracepoints_ptrs"`
	Count uint32        `kernel:"num_tracepoints"`
}

type tracepointViews struct {
	point *kstruct.View[tracepoint]
	probe *kstruct.View[tracepointFunc]
	table *kstruct.View[tracepointTable] // of struct module
	call  *kstruct.Field[vmem.VirtAddr]  // static_call_key.func
	err   error
}

func bindTracepoints(types *isf.File) (v tracepointViews) {
	b := kstruct.NewBinder(types)
	v.point = kstruct.Bind[tracepoint](b, "tracepoint")
	v.probe = kstruct.Bind[tracepointFunc](b, "tracepoint_func")
	v.table = kstruct.BindOptional[tracepointTable](b, "module")
	v.call = kstruct.BindOptionalField[vmem.VirtAddr](b, "static_call_key", "func")
	v.err = b.Err()
	return v
}

const (
	maxTracepoints = 1 << 16 // a kernel has some thousand
	maxTraceProbes = 1 << 12 // of one tracepoint
	maxEventName   = 256
)

// readTracepoints yields what is called at tracepoints: those of the kernel, of which there is an array of offsets, and those
// of modules.
func readTracepoints(r *reader) {
	if !r.has("tracepoint_probe_register") {
		return // the kernel has none
	}
	v := bindTracepoints(r.k.Symbols())
	if v.err != nil {
		r.lost("tracepoints", 0, v.err)
		return
	}
	start, end, err := r.tracepointArray(&v)
	if err != nil {
		r.lost("tracepoints", 0, err)
	} else {
		r.tracepoints(&v, "tracepoints", start, uint64(end-start)/4)
	}
	if !v.table.Ok() {
		return
	}
	for _, m := range r.modules.Modules() {
		if m.State == module.Unformed || !r.alive() {
			continue
		}
		t, err := v.table.Load(r.k.Space(), m.Address)
		if err != nil {
			r.lost("tracepoints of module "+m.Name, m.Address, err)
			continue
		}
		r.tracepoints(&v, "tracepoints of module "+m.Name, t.First, uint64(t.Count))
	}
}

// tracepointArray returns where the offsets of the kernel's tracepoints are. Where their bounds have no symbols, the function that
// goes over them has both.
func (r *reader) tracepointArray(v *tracepointViews) (start, end vmem.VirtAddr, err error) {
	start, err = r.k.Symbol("__start___tracepoints_ptrs")
	end, err2 := r.k.Symbol("__stop___tracepoints_ptrs")
	if err = errors.Join(err, err2); err == nil {
		return start, end, nil
	}
	f, err2 := r.function("for_each_kernel_tracepoint")
	if f == nil {
		return 0, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, cmp.Or(err2, err))
	}
	for _, a := range f.references() {
		for _, b := range f.references() {
			if b.target > a.target && (b.target-a.target)%4 == 0 && b.target-a.target < 4*maxTracepoints && r.isTracepoint(v, a.target) && r.isTracepoint(v, b.target-4) {
				return a.target, b.target, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("%w: they have no symbol, and %s does not show where they are: %w", kstruct.ErrUnsupported, f.name, err)
}

// at returns the tracepoint that the offset at an address means.
func (r *reader) tracepointAt(at vmem.VirtAddr) (vmem.VirtAddr, error) {
	off, err := r.k.Space().Uint32(at)
	return at + vmem.VirtAddr(int64(int32(off))), err
}

// isTracepoint reports whether the offset at an address can mean a tracepoint.
func (r *reader) isTracepoint(v *tracepointViews, at vmem.VirtAddr) bool {
	p, err := r.tracepointAt(at)
	if err != nil || !plausible(p) {
		return false
	}
	t, err := v.point.Load(r.k.Space(), p)
	if err != nil {
		return false
	}
	name, err := r.k.Space().CString(t.Name, maxEventName)
	return err == nil && name != "" && (t.Iterator == 0 || r.Verdict(t.Iterator).Kind == Kernel)
}

// tracepoints yields what is called at an array of tracepoints.
func (r *reader) tracepoints(v *tracepointViews, object string, start vmem.VirtAddr, n uint64) {
	if n > maxTracepoints {
		r.lost(object, start, fmt.Errorf("%w: %d of them", kstruct.ErrCorrupt, n))
		return
	}
	for i := range n {
		at, err := r.tracepointAt(start + vmem.VirtAddr(4*i))
		var t tracepoint
		if err == nil {
			err = v.point.Read(r.k.Space(), at, &t)
		}
		if err != nil {
			r.lost(object, start+vmem.VirtAddr(4*i), err)
			continue
		}
		if !r.tracepoint(v, object, &t) {
			return
		}
	}
}

// tracepoint yields what is called at a tracepoint: its probes, and what the code calls there if that is none of them.
func (r *reader) tracepoint(v *tracepointViews, object string, t *tracepoint) bool {
	name, err := r.k.Space().CString(t.Name, maxEventName)
	if err != nil && !r.lost(object, t.Name, err) {
		return false
	}
	called, known := t.Iterator, false
	if t.Call != 0 && v.call.Ok() {
		if called, err = v.call.Load(r.k.Space(), t.Call); err != nil && !r.lost(object, t.Call, err) {
			return false
		}
		known = err == nil
	}
	only := called == t.Iterator
	for i := range maxTraceProbes {
		if t.Funcs == 0 {
			break
		}
		at := t.Funcs + vmem.VirtAddr(uint64(i)*v.probe.Size())
		var p tracepointFunc
		if err := v.probe.Read(r.k.Space(), at, &p); err != nil {
			return r.lost(object, at, err)
		}
		if p.Func == 0 {
			break
		}
		only = only || p.Func == called
		h := r.Hook("tracepoints", name, at, p.Func)
		h.add("priority %d, data %v", p.Priority, p.Data)
		if !r.found(h) {
			return false
		}
	}
	if known && !only {
		h := r.Hook("tracepoints", name, t.Call, called)
		h.suspect("the code at the tracepoint calls what is none of its functions")
		return r.found(h)
	}
	if t.Iterator != 0 && r.Verdict(t.Iterator).Kind == Unknown {
		return r.found(r.Hook("tracepoints", name, 0, t.Iterator))
	}
	return true
}
