package integrity

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A traceCall is struct trace_event_call (include/linux/trace_events.h).
type traceCall struct {
	Class    vmem.VirtAddr `kernel:"class"`
	Name     vmem.VirtAddr `kernel:"name"` // of the event, or its tracepoint
	Flags    int32         `kernel:"flags"`
	Users    int32         `kernel:"perf_refcount"`
	Programs vmem.VirtAddr `kernel:"prog_array"`
}

// eventOfTracepoint says that an event has a tracepoint, whose name is its own: TRACE_EVENT_FL_TRACEPOINT.
const eventOfTracepoint = "TRACE_EVENT_FL_TRACEPOINT"

type perfViews struct {
	call   *kstruct.View[traceCall]
	link   kstruct.Member                // trace_event_call.list
	probe  *kstruct.Field[vmem.VirtAddr] // trace_event_class.perf_probe
	reg    *kstruct.Field[vmem.VirtAddr] // trace_event_class.reg
	system *kstruct.Field[vmem.VirtAddr] // trace_event_class.system
	point  *kstruct.Field[vmem.VirtAddr] // tracepoint.name
	items  kstruct.Member                // bpf_prog_array.items
	item   *kstruct.View[struct {
		Prog vmem.VirtAddr `kernel:"prog"`
	}]
	flag int32
	err  error
}

func bindPerf(types *isf.File) (v perfViews) {
	b := kstruct.NewBinder(types)
	v.call = kstruct.Bind[traceCall](b, "trace_event_call")
	v.link = kstruct.BindMember(b, "trace_event_call", "list")
	v.probe = kstruct.BindField[vmem.VirtAddr](b, "trace_event_class", "perf_probe")
	v.reg = kstruct.BindField[vmem.VirtAddr](b, "trace_event_class", "reg")
	v.system = kstruct.BindField[vmem.VirtAddr](b, "trace_event_class", "system")
	v.point = kstruct.BindField[vmem.VirtAddr](b, "tracepoint", "name")
	v.items = kstruct.BindOptionalMember(b, "bpf_prog_array", "items")
	v.item = kstruct.BindOptional[struct {
		Prog vmem.VirtAddr `kernel:"prog"`
	}](b, "bpf_prog_array_item")
	v.flag = 1 << 4 // TRACE_EVENT_FL_TRACEPOINT_BIT, the fifth until 6.12
	for e := range types.Enums() {
		for _, c := range e.Constants {
			if c.Name == eventOfTracepoint {
				v.flag = int32(c.Value)
			}
		}
	}
	v.err = b.Err()
	return v
}

// readPerf yields the events that perf, or a BPF program through it, uses: what is called for it, and which programs run. They are
// in the list ftrace_events.
func readPerf(r *reader) {
	if !r.has("perf_trace_event_init") && !r.has("perf_trace_init") {
		return // the kernel has no such events
	}
	v := bindPerf(r.k.Symbols())
	if v.err != nil {
		r.lost("perf events", 0, v.err)
		return
	}
	head, err := r.find(variable{"ftrace_events", []string{"perf_trace_init", "perf_kprobe_init", "trace_add_event_call", "__trace_add_event_call", "trace_event_eval_update"}, func(a vmem.VirtAddr) bool {
		next, ok := r.pointer(a)
		if !ok || !r.isList(a) {
			return false
		}
		c, err := v.call.Load(r.k.Space(), v.link.Container(next))
		if err != nil {
			return false
		}
		reg, err := v.reg.Load(r.k.Space(), c.Class)
		return err == nil && r.Verdict(reg).Kind == Kernel
	}})
	if err != nil {
		r.lost("ftrace_events", 0, err)
		return
	}
	for node, err := range r.walk("ftrace_events").List(head) {
		at := v.link.Container(node)
		var c traceCall
		if err == nil {
			err = v.call.Read(r.k.Space(), at, &c)
		}
		if err == nil && (c.Users > 0 || c.Programs != 0) {
			err = r.perfEvent(&v, &c)
		}
		if err != nil {
			r.lost("perf events", at, err)
		}
		if r.over {
			return
		}
	}
}

// perfEvent yields an event that perf uses.
func (r *reader) perfEvent(v *perfViews, c *traceCall) error {
	system, err := r.text(v.system, c.Class)
	if err != nil {
		return err
	}
	name := c.Name
	if c.Flags&v.flag != 0 {
		if name, err = v.point.Load(r.k.Space(), c.Name); err != nil {
			return err
		}
	}
	event, err := r.k.Space().CString(name, maxEventName)
	if err != nil {
		return err
	}
	field := v.probe
	target, err := field.Load(r.k.Space(), c.Class)
	if err == nil && target == 0 { // of a probe, which calls perf itself
		field = v.reg
		target, err = field.Load(r.k.Space(), c.Class)
	}
	if err != nil {
		return err
	}
	h := r.Hook("perf_events", system+":"+event, c.Class+vmem.VirtAddr(field.Offset()), target)
	h.add("perf uses it %d times", c.Users)
	if names := r.programsIn(v, c.Programs); names != "" {
		h.add("it runs %s", names)
	}
	r.found(h)
	return nil
}

// maxPrograms is how many BPF programs run at an event: BPF_TRACE_MAX_PROGS.
const maxPrograms = 64

// programsIn returns the programs of an array.
func (r *reader) programsIn(v *perfViews, at vmem.VirtAddr) string {
	if at == 0 || !v.items.Ok() || !v.item.Ok() {
		return ""
	}
	var names []string
	for i := range maxPrograms {
		item, err := v.item.Load(r.k.Space(), v.items.Of(at)+vmem.VirtAddr(uint64(i)*v.item.Size()))
		if err != nil || item.Prog == 0 {
			break
		}
		name := item.Prog.String()
		if id, ok := r.programs[item.Prog]; ok {
			name = fmt.Sprintf("bpf %d", id)
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
