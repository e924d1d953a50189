package bpf

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A rawEvent is struct bpf_raw_event_map (include/linux/trace_events.h): a tracepoint that programs can be attached to.
type rawEvent struct {
	Tracepoint vmem.VirtAddr `kernel:"tp"`
	Func       vmem.VirtAddr `kernel:"bpf_func"`
}

// A tracepointFunc is struct tracepoint_func (include/linux/tracepoint-defs.h).
type tracepointFunc struct {
	Func vmem.VirtAddr `kernel:"func"`
	Data vmem.VirtAddr `kernel:"data"`
}

// A moduleEvents is what struct module has of these.
type moduleEvents struct {
	Events vmem.VirtAddr `kernel:"bpf_raw_events"`
	Count  uint32        `kernel:"num_bpf_raw_events"`
}

type tracepointViews struct {
	raw   *kstruct.View[rawEvent]
	fn    *kstruct.View[tracepointFunc]
	funcs *kstruct.Field[vmem.VirtAddr] // of tracepoint
	name  *kstruct.Field[vmem.VirtAddr]
	err   error
	mod   *kstruct.View[moduleEvents]

	list  kstruct.Member                // of trace_event_call
	array *kstruct.Field[vmem.VirtAddr] // its programs
}

func bindTracepoints(types *isf.File) (v tracepointViews) {
	b := kstruct.NewBinder(types)
	v.raw, v.fn = kstruct.Bind[rawEvent](b, "bpf_raw_event_map"), kstruct.Bind[tracepointFunc](b, "tracepoint_func")
	v.funcs = kstruct.BindField[vmem.VirtAddr](b, "tracepoint", "funcs")
	v.name = kstruct.BindField[vmem.VirtAddr](b, "tracepoint", "name")
	v.list = kstruct.BindMember(b, "trace_event_call", "list")
	v.array = kstruct.BindField[vmem.VirtAddr](b, "trace_event_call", "prog_array")
	v.err = b.Err()
	v.mod = bound[moduleEvents](types, "module")
	return v
}

// maxRawEvents is how many tracepoints of one module are looked at.
const maxRawEvents = 1 << 16

// readTracepoints looks at all tracepoints that programs can be attached to: those of the kernel between
// __start__bpf_raw_tp and __stop__bpf_raw_tp, and those of modules.
func (s *Set) readTracepoints() {
	v := &s.views.trace
	if v.err != nil {
		s.lose("tracepoints with BPF programs", 0, v.err)
		return
	}
	start, ok := s.symbol(rawStart)
	end, ok2 := s.symbol(rawStop)
	if ok && ok2 && end > start {
		s.readRawEvents(start, uint64(end-start)/v.raw.Size())
	} else {
		s.lose("tracepoints with BPF programs", 0, unsupported("no symbols %s and %s", rawStart, rawStop))
	}
	if s.opts.Modules == nil || !v.mod.Ok() {
		return
	}
	for _, m := range s.opts.Modules.Modules() {
		e, err := v.mod.Load(s.mem, m.Address)
		if err != nil {
			s.lose("tracepoints of module "+m.Name, m.Address, err)
			continue
		}
		s.readRawEvents(e.Events, uint64(e.Count))
	}
}

const (
	rawStart = "__start__bpf_raw_tp"
	rawStop  = "__stop__bpf_raw_tp"
)

// readRawEvents looks at the tracepoints of an array of struct bpf_raw_event_map.
func (s *Set) readRawEvents(at vmem.VirtAddr, n uint64) {
	v := &s.views.trace
	for i := range min(n, maxRawEvents) {
		e, err := v.raw.Load(s.mem, at+vmem.VirtAddr(i*v.raw.Size()))
		var funcs vmem.VirtAddr
		if err == nil {
			funcs, err = v.funcs.Load(s.mem, e.Tracepoint)
		}
		if err != nil {
			s.lose("tracepoints with BPF programs", at, err)
			return
		}
		if funcs != 0 {
			s.readProbes(&e, funcs)
		}
	}
}

// maxProbes is how many functions of one tracepoint are looked at.
const maxProbes = 1024

// readProbes looks at the functions of a tracepoint for those that call programs.
func (s *Set) readProbes(e *rawEvent, funcs vmem.VirtAddr) {
	v := &s.views.trace
	for i := range vmem.VirtAddr(maxProbes) {
		f, err := v.fn.Load(s.mem, funcs+i*vmem.VirtAddr(v.fn.Size()))
		if err != nil {
			s.lose("tracepoints with BPF programs", funcs, err)
			return
		}
		if f.Func == 0 {
			return
		}
		if f.Func != e.Func {
			continue
		}
		a := Attachment{Kind: "raw_tracepoint", Type: "trace_raw_tp", Target: s.tracepointName(e.Tracepoint), Address: e.Tracepoint}
		prog := f.Data // until 6.9
		if l := s.linkOf(f.Data); l != nil {
			prog, a.Link = l.raw.Program, l.ID
			s.attachedBy[l.Address] = true
		} else {
			for _, l := range s.links {
				if l.raw.Program == prog && l.object == e.Tracepoint {
					a.Link = l.ID
					s.attachedBy[l.Address] = true
				}
			}
		}
		s.attach(prog, a)
	}
}

// linkOf returns the link that is at an address, nil where there is a program.
func (s *Set) linkOf(at vmem.VirtAddr) *Link {
	if s.byAddr[at] != nil || !s.k.Symbols().HasField("bpf_raw_tp_link", "cookie") { // which came together in 6.10
		return nil
	}
	return s.addLink(at, InAttachments)
}

func (s *Set) tracepointName(at vmem.VirtAddr) string {
	p, err := s.views.trace.name.Load(s.mem, at)
	if err != nil {
		return ""
	}
	name, _ := s.mem.CString(p, maxTypeName)
	return name
}

// readEvents looks at all events of tracing, whose programs are called with the records of perf: the list
// ftrace_events of kernel/trace/trace_events.c. Probes that perf made for itself are not in it; they
// are reached from perf events.
func (s *Set) readEvents() {
	v := &s.views.trace
	if v.err != nil {
		return // told once
	}
	head, ok := s.symbol("ftrace_events")
	if !ok {
		s.lose("events with BPF programs", 0, unsupported("no symbol ftrace_events"))
		return
	}
	w := s.walk("events of tracing")
	for node, err := range w.List(head) {
		at := v.list.Container(node)
		var array vmem.VirtAddr
		if err == nil {
			array, err = v.array.Load(s.mem, at)
		}
		if err != nil {
			s.lose("events of tracing", head, err)
			continue
		}
		s.readEvent(at, array)
	}
}

// readEvent notes the programs of an event. Those of a link or a perf event that is held are told by that.
func (s *Set) readEvent(at, array vmem.VirtAddr) {
	if array == 0 {
		return
	}
	var l LinkDetails
	if err := s.readCall(at, &l); err != nil {
		s.lose("events of tracing", at, err)
	}
	for _, prog := range s.progArray(array) {
		p := s.addProgram(prog, InAttachments)
		if p == nil || s.toldByEvent(p) {
			continue
		}
		p.Attachments = append(p.Attachments, Attachment{Kind: "perf_event", Type: l.Event, Target: l.Target, Address: at})
	}
}

// toldByEvent reports whether a program has an attachment to a perf event, or a link to one.
func (s *Set) toldByEvent(p *Program) bool {
	for i := range p.Attachments {
		if p.Attachments[i].Kind == "perf_event" {
			return true
		}
	}
	for _, l := range s.links {
		if l.Type == PerfEventLink && l.raw.Program == p.Address {
			return true
		}
	}
	return false
}
