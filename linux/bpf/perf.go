package bpf

import (
	"cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// readPerf reads a link to a perf event: bpf_perf_link_fill_link_info of kernel/bpf/syscall.c.
func (s *Set) readPerf(l *Link, d *detailReader) {
	at := d.pointer("perf_file->private_data")
	if d.err != nil {
		return
	}
	s.perfLinks[at] = l.ID
	l.object = at
	d.err = s.readPerfEvent(s.objects.Struct("perf_event", at), &l.LinkDetails, l.raw.Program)
}

// readPerfEvent reads what a perf event counts or probes.
func (s *Set) readPerfEvent(event kstruct.Value, l *LinkDetails, program vmem.VirtAddr) error {
	d := &detailReader{Value: event}
	if s.k.Symbols().HasField("perf_event", "bpf_cookie") { // since 5.15
		l.Cookie = d.uint("bpf_cookie")
	}
	call := d.pointer("tp_event")
	if p := s.byAddr[program]; call == 0 || p != nil && p.Type == PerfEvent {
		l.Event, l.EventType, l.Config = "event", uint32(d.uint("attr.type")), d.uint("attr.config")
		return d.err
	}
	return cmp.Or(d.err, s.readCall(call, l))
}

// readCall reads the event of a tracepoint or a probe (struct trace_event_call).
func (s *Set) readCall(at vmem.VirtAddr, l *LinkDetails) error {
	v := &s.views.links
	d := &detailReader{Value: s.objects.Struct("trace_event_call", at)}
	flags := d.uint("flags")
	switch {
	case flags>>v.flagBit&1 != 0:
		l.Event, l.Target = "tracepoint", d.text("tp->name")
	case flags>>v.probe&1 != 0:
		s.readKprobe(at, l, d)
	case flags>>(v.probe+1)&1 != 0:
		s.readUprobe(at, l, d)
	default: // of a system call
		l.Event, l.Target = "tracepoint", d.text("name")
	}
	return d.err
}

// probe returns the first of the probes of an event: trace_probe_primary_from_call of
// kernel/trace/trace_probe.h.
func (s *Set) probe(call vmem.VirtAddr, typ string, d *detailReader) *detailReader {
	node, err := s.objects.Struct("trace_event_call", call).ContainerOf("trace_probe_event", "call").At("probes.next").Pointer()
	d.err = cmp.Or(d.err, err)
	return &detailReader{Value: s.objects.Struct("list_head", node).ContainerOf(typ, "tp.list")}
}

func (s *Set) readKprobe(call vmem.VirtAddr, l *LinkDetails, d *detailReader) {
	p := s.probe(call, "trace_kprobe", d)
	l.Event = "kprobe"
	if p.pointer("rp.handler") != 0 {
		l.Event, l.Return = "kretprobe", true
	}
	at := p.pointer("rp.kp.addr")
	l.Offset = p.uint("rp.kp.offset")
	if p.pointer("symbol") != 0 {
		l.Target = p.text("symbol")
	}
	l.Functions = []LinkTarget{{Address: at, Name: s.function(at)}}
	d.err = cmp.Or(d.err, p.err)
}

func (s *Set) readUprobe(call vmem.VirtAddr, l *LinkDetails, d *detailReader) {
	p := s.probe(call, "trace_uprobe", d)
	l.Event = "uprobe"
	if p.pointer("consumer.ret_handler") != 0 {
		l.Event, l.Return = "uretprobe", true
	}
	l.Target, l.Offset = p.text("filename"), p.uint("offset")
	d.err = cmp.Or(d.err, p.err)
}
