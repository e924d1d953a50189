package integrity

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A dynEvent is struct dyn_event (kernel/trace/trace_dynevent.h): an event that somebody defined.
type dynEvent struct {
	Ops vmem.VirtAddr `kernel:"ops"`
}

// A traceProbe is struct trace_probe (kernel/trace/trace_probe.h).
type traceProbe struct {
	Event vmem.VirtAddr `kernel:"event"`
	Count uint32        `kernel:"nr_args"`
	Args  vmem.VirtAddr `kernel:"&args"`
}

// A probeArg is struct probe_arg: a value that an event has.
type probeArg struct {
	Name    vmem.VirtAddr `kernel:"name"`
	Command vmem.VirtAddr `kernel:"comm"`
}

// A traceKprobe is struct trace_kprobe (kernel/trace/trace_kprobe.c).
type traceKprobe struct {
	Symbol  vmem.VirtAddr `kernel:"symbol"`
	Addr    vmem.VirtAddr `kernel:"rp.kp.addr"`
	Offset  uint32        `kernel:"rp.kp.offset"`
	Pre     vmem.VirtAddr `kernel:"rp.kp.pre_handler"`
	Handler vmem.VirtAddr `kernel:"rp.handler"`
	Active  int32         `kernel:"rp.maxactive"`
	Probe   vmem.VirtAddr `kernel:"&tp"`
}

// A traceUprobe is struct trace_uprobe (kernel/trace/trace_uprobe.c).
type traceUprobe struct {
	File    vmem.VirtAddr `kernel:"filename"`
	Offset  uint64        `kernel:"offset"`
	Counter uint64        `kernel:"ref_ctr_offset"`
	Handler vmem.VirtAddr `kernel:"consumer.handler"`
	Return  vmem.VirtAddr `kernel:"consumer.ret_handler"`
	Probe   vmem.VirtAddr `kernel:"&tp"`
}

type eventViews struct {
	event  *kstruct.View[dynEvent]
	link   kstruct.Member                // dyn_event.list
	show   *kstruct.Field[vmem.VirtAddr] // dyn_event_operations.show
	kprobe *kstruct.View[traceKprobe]
	uprobe *kstruct.View[traceUprobe]
	inK    kstruct.Member // trace_kprobe.devent
	inU    kstruct.Member // trace_uprobe.devent
	probe  *kstruct.View[traceProbe]
	arg    *kstruct.View[probeArg]
	call   kstruct.Member                // trace_probe_event.call
	class  *kstruct.Field[vmem.VirtAddr] // trace_event_call.class
	name   *kstruct.Field[vmem.VirtAddr] // trace_event_call.name
	system *kstruct.Field[vmem.VirtAddr] // trace_event_class.system
	err    error
}

func bindEvents(types *isf.File) (v eventViews) {
	b := kstruct.NewBinder(types)
	v.event = kstruct.Bind[dynEvent](b, "dyn_event")
	v.link = kstruct.BindMember(b, "dyn_event", "list")
	v.show = kstruct.BindField[vmem.VirtAddr](b, "dyn_event_operations", "show")
	v.kprobe = kstruct.BindOptional[traceKprobe](b, "trace_kprobe")
	v.uprobe = kstruct.BindOptional[traceUprobe](b, "trace_uprobe")
	v.inK = kstruct.BindOptionalMember(b, "trace_kprobe", "devent")
	v.inU = kstruct.BindOptionalMember(b, "trace_uprobe", "devent")
	v.probe = kstruct.BindOptional[traceProbe](b, "trace_probe")
	v.arg = kstruct.BindOptional[probeArg](b, "probe_arg")
	v.call = kstruct.BindOptionalMember(b, "trace_probe_event", "call")
	v.class = kstruct.BindOptionalField[vmem.VirtAddr](b, "trace_event_call", "class")
	v.name = kstruct.BindOptionalField[vmem.VirtAddr](b, "trace_event_call", "name")
	v.system = kstruct.BindOptionalField[vmem.VirtAddr](b, "trace_event_class", "system")
	v.err = b.Err()
	return v
}

// readEvents yields the events that somebody defined, as kprobe_events and uprobe_events of tracefs show them: the list dyn_event_list.
func readEvents(r *reader) {
	if !r.has("dyn_event_register") && !r.has("dyn_event_seq_start") {
		return // the kernel has none
	}
	v := bindEvents(r.k.Symbols())
	if v.err != nil {
		r.lost("dynamic events", 0, v.err)
		return
	}
	head, err := r.find(variable{"dyn_event_list", []string{"dyn_event_seq_start", "dyn_events_release_all"}, r.isList})
	if err != nil {
		r.lost("dyn_event_list", 0, err)
		return
	}
	for node, err := range r.walk("dyn_event_list").List(head) {
		if r.over {
			return
		}
		at := v.link.Container(node)
		var e dynEvent
		if err == nil {
			err = v.event.Read(r.k.Space(), at, &e)
		}
		var show vmem.VirtAddr
		if err == nil {
			show, err = v.show.Load(r.k.Space(), e.Ops)
		}
		if err == nil {
			err = r.event(&v, at, e.Ops, show)
		}
		if err != nil {
			r.lost("dynamic event", at, err)
		}
	}
}

// isList reports whether there can be a list_head at an address: what it leads to leads back.
func (r *reader) isList(at vmem.VirtAddr) bool {
	next, ok := r.pointer(at)
	if !ok {
		return false
	}
	back, err := r.k.Space().Uint64(next + 8)
	return err == nil && vmem.VirtAddr(back) == at
}

// event yields an event. Its kind is told by the function that shows it.
func (r *reader) event(v *eventViews, at, ops, show vmem.VirtAddr) error {
	l, _ := r.symbols.Resolve(show)
	switch {
	case l.Symbol == "trace_kprobe_show" && v.kprobe.Ok():
		k, err := v.kprobe.Load(r.k.Space(), v.inK.Container(at))
		if err != nil {
			return err
		}
		return r.kprobeEvent(v, v.inK.Container(at), &k)
	case l.Symbol == "trace_uprobe_show" && v.uprobe.Ok():
		u, err := v.uprobe.Load(r.k.Space(), v.inU.Container(at))
		if err != nil {
			return err
		}
		return r.uprobeEvent(v, v.inU.Container(at), &u)
	}
	showOff := v.show.Offset()
	r.found(r.Hook("dynamic_events", strings.TrimSuffix(l.Symbol, "_show")+" "+at.String(), ops+vmem.VirtAddr(showOff), show))
	return nil
}

// kprobeEvent yields an event of a kprobe as trace_kprobe_show shows it.
func (r *reader) kprobeEvent(v *eventViews, at vmem.VirtAddr, k *traceKprobe) error {
	name, args, err := r.eventName(v, k.Probe)
	if err != nil {
		return err
	}
	kind, target, field := "p", k.Pre, "Pre"
	if k.Handler != 0 {
		kind, target, field = "r", k.Handler, "Handler"
		if k.Active != 0 {
			kind += fmt.Sprint(k.Active)
		}
	}
	where := fmt.Sprintf("0x%x", uint64(k.Addr))
	if k.Symbol != 0 {
		if where, err = r.k.Space().CString(k.Symbol, maxEventName*4); err != nil {
			return err
		}
		if k.Offset != 0 {
			where += fmt.Sprintf("+%d", k.Offset)
		}
	}
	off, _ := v.kprobe.Offset(field)
	r.found(r.Hook("kprobe_events", fmt.Sprintf("%s:%s %s%s", kind, name, where, args), at+vmem.VirtAddr(off), target))
	return nil
}

// uprobeEvent yields an event of a uprobe as trace_uprobe_show shows it.
func (r *reader) uprobeEvent(v *eventViews, at vmem.VirtAddr, u *traceUprobe) error {
	name, args, err := r.eventName(v, u.Probe)
	if err != nil {
		return err
	}
	file, err := r.k.Space().CString(u.File, maxPath)
	if err != nil {
		return err
	}
	kind, target, field := "p", u.Handler, "Handler"
	if u.Return != 0 {
		kind, target, field = "r", u.Return, "Return"
	}
	where := fmt.Sprintf("%s:0x%016x", file, u.Offset)
	if u.Counter != 0 {
		where += fmt.Sprintf("(0x%x)", u.Counter)
	}
	off, _ := v.uprobe.Offset(field)
	r.found(r.Hook("uprobe_events", fmt.Sprintf("%s:%s %s%s", kind, name, where, args), at+vmem.VirtAddr(off), target))
	return nil
}

// maxArgs is how many values an event has at most: MAX_TRACE_ARGS.
const maxArgs = 128

// eventName returns the group and name of the event of a probe, and its values as text.
func (r *reader) eventName(v *eventViews, at vmem.VirtAddr) (name, args string, err error) {
	p, err := v.probe.Load(r.k.Space(), at)
	if err != nil {
		return "", "", err
	}
	call := v.call.Of(p.Event)
	class, err := v.class.Load(r.k.Space(), call)
	if err != nil {
		return "", "", err
	}
	if name, err = r.text(v.system, class); err != nil {
		return "", "", err
	}
	event, err := r.text(v.name, call)
	if err != nil {
		return "", "", err
	}
	if p.Count > maxArgs {
		return "", "", fmt.Errorf("%w: an event of %d values", kstruct.ErrCorrupt, p.Count)
	}
	var text strings.Builder
	for i := range uint64(p.Count) {
		a, err := v.arg.Load(r.k.Space(), p.Args+vmem.VirtAddr(i*v.arg.Size()))
		if err != nil {
			return "", "", err
		}
		key, err := r.k.Space().CString(a.Name, maxEventName)
		if err != nil {
			return "", "", err
		}
		command, err := r.k.Space().CString(a.Command, maxPath)
		if err != nil {
			return "", "", err
		}
		fmt.Fprintf(&text, " %s=%s", key, command)
	}
	return name + "/" + event, text.String(), nil
}

// text returns the text that a member of the structure at an address points to.
func (r *reader) text(f *kstruct.Field[vmem.VirtAddr], at vmem.VirtAddr) (string, error) {
	p, err := f.Load(r.k.Space(), at)
	if err != nil {
		return "", err
	}
	return r.k.Space().CString(p, maxEventName)
}
