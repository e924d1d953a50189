package integrity

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A tracePage is struct ftrace_page (kernel/trace/ftrace.c): a piece of the records.
type tracePage struct {
	Next    vmem.VirtAddr `kernel:"next"`
	Records vmem.VirtAddr `kernel:"records"`
	Count   int32         `kernel:"index"`
	Order   int32         `kernel:"order"`
}

// A traceRecord is struct dyn_ftrace: one for each function that can be traced.
type traceRecord struct {
	IP    vmem.VirtAddr `kernel:"ip"` // of the call of the tracer, or of the instructions in its place
	Flags uint64        `kernel:"flags"`
}

// The flags of records: FTRACE_FL_... of include/linux/ftrace.h. Those below are kept by countBits.
const (
	recEnabled      = 1 << 31
	recRegs         = 1 << 30
	recRegsEnabled  = 1 << 29
	recTrampEnabled = 1 << 27
	recIPModify     = 1 << 26
	recDirect       = 1 << 24
	recCallOps      = 1 << 22
	recModified     = 1 << 19
)

// maxOrder is the most that pages are allocated by at once: MAX_PAGE_ORDER, and more.
const maxOrder = 11

// A traced is a record of a function that is traced, and by whom.
type traced struct {
	traceRecord
	by     []*ops
	direct vmem.VirtAddr // what it calls directly
}

// readFtrace yields who traces functions: the ftrace_ops, and each function with each of them that is called for it. All records
// are read, and the code of each function that has one: what is called there has to be what the record says.
func readFtrace(r *reader) {
	f := r.ftrace
	for _, err := range f.gaps {
		r.lost("ftrace", 0, err)
	}
	if f.none || f.views.err != nil {
		return
	}
	for _, o := range f.list {
		if !r.opsHooks(o) {
			return
		}
		for _, sub := range o.subops {
			if !r.opsHooks(sub) {
				return
			}
		}
	}
	direct := r.directFunctions()
	r.eachRecord(func(rec traceRecord) bool {
		if rec.Flags&recEnabled == 0 {
			return r.untraced(rec)
		}
		t := &traced{traceRecord: rec, direct: direct[rec.IP] &^ 1} // the lowest bit says that it is jumped to, since 6.18
		for _, o := range f.list {
			if o.traces(rec.IP) {
				t.by = append(t.by, o)
			}
		}
		return r.traced(t)
	})
}

// opsHooks yields the hook of an ftrace_ops, and of the functions that it leads to where it is part of what has such.
func (r *reader) opsHooks(o *ops) bool {
	h := r.opsHook(o)
	of := owner{}
	switch v := &r.ftrace.views; {
	case o.Flags&opsGraph != 0:
		of = v.graph
	case strings.HasPrefix(h.Symbol, "fprobe_") && v.fprobe.ops.Ok():
		of = v.fprobe
	}
	if !r.found(h) || !of.ops.Ok() {
		return !r.over
	}
	at := of.ops.Container(o.at)
	for _, f := range []struct {
		name  string
		field *kstruct.Field[vmem.VirtAddr]
	}{{" entry", of.enter}, {" return", of.leave}} {
		target, err := f.field.Load(r.k.Space(), at)
		if err != nil && !r.lost("ftrace_ops", at, err) {
			return false
		}
		if target != 0 && !r.found(r.Hook("ftrace_ops", r.nameOf(o.at)+f.name, at+vmem.VirtAddr(f.field.Offset()), target)) {
			return false
		}
	}
	return true
}

// opsHook returns the hook of an ftrace_ops.
func (r *reader) opsHook(o *ops) Hook {
	h := r.Hook("ftrace_ops", r.nameOf(o.at), o.at, o.Func)
	if flags := flagNames(o.Flags, opsFlags[:]); flags != "" {
		h.add("flags %s", flags)
	}
	if o.Trampoline != 0 {
		h.add("trampoline %v", o.Trampoline)
		if v := r.Verdict(o.Trampoline); v.Kind != Trampoline && v.Kind != Kernel {
			h.suspect("the kernel did not make its trampoline")
		}
	}
	h.add("traces %s", r.names(o))
	o.judge(&h)
	return h
}

// judge says what of an ftrace_ops does not belong: that it sends functions elsewhere, as the kernel does itself for livepatch and
// for probes, and nobody else.
func (o *ops) judge(h *Hook) {
	if o.Flags&opsIPModify != 0 && h.Verdict.Kind != Kernel && !h.Suspect {
		h.suspect("it sends the functions that it traces elsewhere (ipmodify), and is not of the kernel")
	}
}

// nameOf returns the name of an object of the kernel, or else its address.
func (r *reader) nameOf(at vmem.VirtAddr) string { return r.symbols.Describe(at) }

// maxNames is how many functions are named of those that something traces.
const maxNames = 8

// names returns the functions that an ftrace_ops traces.
func (r *reader) names(o *ops) string {
	if len(o.filter) == 0 {
		if len(o.not) > 0 {
			return fmt.Sprintf("all functions but %d", len(o.not))
		}
		return "all functions"
	}
	var ips []vmem.VirtAddr
	for ip := range o.filter {
		ips = append(ips, ip)
	}
	slices.Sort(ips)
	var names []string
	for _, ip := range ips[:min(len(ips), maxNames)] {
		names = append(names, r.functionName(ip))
	}
	if more := len(ips) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// functionName returns the function that an address is in.
func (r *reader) functionName(at vmem.VirtAddr) string {
	l, ok := r.symbols.Resolve(at)
	if !ok {
		return at.String()
	}
	l.Offset = 0
	return l.String()
}

// directFunctions returns what functions call directly: those of BPF trampolines and the like.
func (r *reader) directFunctions() map[vmem.VirtAddr]vmem.VirtAddr {
	direct := map[vmem.VirtAddr]vmem.VirtAddr{}
	if !r.has("ftrace_find_rec_direct") {
		return direct
	}
	at, err := r.find(variable{"direct_functions", []string{"ftrace_find_rec_direct", "register_ftrace_direct"}, func(a vmem.VirtAddr) bool {
		p, ok := r.pointer(a)
		if !ok {
			return false
		}
		h, err := r.ftrace.views.hash.Load(r.k.Space(), p)
		return err == nil && h.Bits <= maxHashBits && plausible(h.Buckets)
	}})
	if err != nil {
		r.lost("direct_functions", 0, err)
		return direct
	}
	hash, err := r.k.Space().Uint64(at)
	if err != nil {
		r.lost("direct_functions", at, err)
		return direct
	}
	gaps := &ftraceOps{views: r.ftrace.views}
	r.readHash(r.ctx, gaps, vmem.VirtAddr(hash), direct)
	for _, err := range gaps.gaps {
		r.lost("direct_functions", vmem.VirtAddr(hash), err)
	}
	return direct
}

// eachRecord goes over all records.
func (r *reader) eachRecord(visit func(traceRecord) bool) {
	v := &r.ftrace.views
	at, err := r.find(variable{"ftrace_pages_start", []string{"lookup_rec", "ftrace_location_range", "ftrace_location", "ftrace_free_mem"}, func(a vmem.VirtAddr) bool {
		p, ok := r.pointer(a)
		if !ok {
			return false
		}
		page, err := v.page.Load(r.k.Space(), p)
		if err != nil || !plausible(page.Records) || page.Count <= 0 || page.Order < 0 || page.Order > maxOrder {
			return false
		}
		rec, err := v.rec.Load(r.k.Space(), page.Records)
		return err == nil && r.Verdict(rec.IP).Kind != Unknown
	}})
	if err != nil {
		r.lost("ftrace_pages_start", 0, err)
		return
	}
	first, err := r.k.Space().Uint64(at)
	if err != nil {
		r.lost("ftrace_pages_start", at, err)
		return
	}
	next, _ := v.page.Offset("Next")
	for at, err := range r.walk("ftrace_page").Chain(vmem.VirtAddr(first), next) {
		if err == nil {
			err = r.readRecords(at, visit)
		}
		if err != nil && !r.lost("ftrace_page", at, err) || r.over {
			return
		}
	}
}

// readRecords goes over the records of a page.
func (r *reader) readRecords(at vmem.VirtAddr, visit func(traceRecord) bool) error {
	v := &r.ftrace.views
	page, err := v.page.Load(r.k.Space(), at)
	if err != nil {
		return err
	}
	if page.Count < 0 || page.Order < 0 || page.Order > maxOrder || uint64(page.Count)*v.rec.Size() > vmem.PageSize<<page.Order {
		return fmt.Errorf("%w: %d records in 2^%d pages", kstruct.ErrCorrupt, page.Count, page.Order)
	}
	b := make([]byte, uint64(page.Count)*v.rec.Size())
	n, err := r.k.Space().ReadVirt(b, page.Records)
	for b = b[:n]; uint64(len(b)) >= v.rec.Size(); b = b[v.rec.Size():] {
		var rec traceRecord
		if err := v.rec.Decode(b, 0, &rec); err != nil {
			return err
		}
		if rec.IP != 0 && !visit(rec) { // those of code that was freed have none
			break
		}
	}
	return err
}

// site is the length of a call, and of what stands in its place.
const site = 5

// readSite returns what a function calls at the place of the tracer: 0 where there is a NOP. ok is false where there is neither.
func (r *reader) readSite(ip vmem.VirtAddr) (target vmem.VirtAddr, ok bool, err error) {
	var b [site]byte
	if _, err := r.k.Space().ReadVirt(b[:], ip); err != nil {
		return 0, false, err
	}
	switch {
	case b == [site]byte{0x0f, 0x1f, 0x44, 0, 0}, b == [site]byte{0x66, 0x66, 0x66, 0x66, 0x90}, b == [site]byte{0x3e, 0x8d, 0x74, 0x26, 0}:
		return 0, true, nil
	case b[0] == 0xe8 || b[0] == 0xe9:
		return ip + site + vmem.VirtAddr(int64(int32(binary.LittleEndian.Uint32(b[1:])))), true, nil
	}
	return 0, false, nil
}

// untraced looks at the code of a function that nobody traces.
func (r *reader) untraced(rec traceRecord) bool {
	target, ok, err := r.readSite(rec.IP)
	switch {
	case err != nil:
		return r.lost("code of "+r.functionName(rec.IP), rec.IP, err)
	case ok && (target == 0 || r.callsFtrace(target)), r.kprobeAt(rec.IP):
		return true
	}
	h := r.Hook("ftrace", r.functionName(rec.IP), 0, target)
	if !ok {
		h = Hook{Table: "ftrace", Entry: r.functionName(rec.IP), Target: rec.IP, Symbol: r.symbols.Describe(rec.IP), Verdict: r.Verdict(rec.IP)}
	}
	h.suspect("nobody traces the function, and the code at its entry, where the tracer would be called, is another")
	return r.found(h)
}

// traced yields who traces a function.
func (r *reader) traced(t *traced) bool {
	called, ok, err := r.readSite(t.IP)
	if err != nil && !r.lost("code of "+r.functionName(t.IP), t.IP, err) {
		return false
	}
	name := r.functionName(t.IP)
	flags := fmt.Sprintf("%d%s", t.Flags&r.ftrace.views.count, r.recordFlags(t.Flags))
	if err == nil && (!ok || called != t.direct && !r.callsFtrace(called)) {
		h := r.Hook("ftrace", name, 0, called)
		h.suspect("the function is traced, and calls neither what traces it nor what it is to call directly")
		if !r.found(h) {
			return false
		}
	}
	for _, o := range t.by {
		h := r.Hook("ftrace", name, 0, o.Func)
		h.add("count %s", flags)
		h.add("by %s", r.nameOf(o.at))
		if o.Trampoline != 0 {
			h.add("trampoline %v", o.Trampoline)
		}
		o.judge(&h)
		if !r.found(h) {
			return false
		}
	}
	if t.direct != 0 {
		h := r.Hook("ftrace", name, 0, t.direct)
		h.add("count %s", flags)
		h.add("called directly")
		return r.found(h)
	}
	return true
}

// recordFlags returns the flags of a record as enabled_functions has them.
func (r *reader) recordFlags(flags uint64) string {
	var text strings.Builder
	for _, f := range []struct {
		bit  uint64
		name string
	}{{recRegs, " R"}, {recIPModify, " I"}, {recDirect, " D"}, {recCallOps, " O"}, {recModified, " M"}} {
		if f.bit > r.ftrace.views.count && flags&f.bit != 0 {
			text.WriteString(f.name)
		}
	}
	return text.String()
}
