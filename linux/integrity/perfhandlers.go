package integrity

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// PerfHandlerTable is [Hook].Table of what single events of perf call, such as once their counters overflow.
const PerfHandlerTable = "perf_handlers"

type perfHandlerViews struct {
	list     kstruct.Member // perf_event_context.event_list
	entry    kstruct.Member // perf_event.event_entry
	typ      *kstruct.Field[uint32]
	config   *kstruct.Field[uint64]
	contexts kstruct.Member                // task_struct.perf_event_ctxp, an array until 6.1
	cpu      kstruct.Member                // perf_cpu_context.ctx
	pmus     kstruct.Member                // pmu.entry
	percpu   *kstruct.Field[vmem.VirtAddr] // pmu.pmu_cpu_context, until 6.1
	err      error
}

func bindPerfHandlers(types *isf.File) (v perfHandlerViews) {
	b := kstruct.NewBinder(types)
	v.list = kstruct.BindMember(b, "perf_event_context", "event_list")
	v.entry = kstruct.BindMember(b, "perf_event", "event_entry")
	v.typ = kstruct.BindField[uint32](b, "perf_event", "attr.type")
	v.config = kstruct.BindField[uint64](b, "perf_event", "attr.config")
	v.contexts = kstruct.BindMember(b, "task_struct", "perf_event_ctxp")
	v.cpu = kstruct.BindMember(b, "perf_cpu_context", "ctx")
	v.pmus = kstruct.BindMember(b, "pmu", "entry")
	if types.HasField("perf_event_pmu_context", "pmu") { // since 6.2, where CPUs have one context
		v.percpu = kstruct.BindOptionalField[vmem.VirtAddr](b, "pmu", "no such")
	} else {
		v.percpu = kstruct.BindField[vmem.VirtAddr](b, "pmu", "pmu_cpu_context")
	}
	v.err = b.Err()
	return v
}

// readPerfHandlers yields what each event of perf calls (struct perf_event): those of tasks, and those of CPUs.
func readPerfHandlers(r *reader) {
	if !r.has("perf_event_create_kernel_counter") {
		return // the kernel has none
	}
	v := bindPerfHandlers(r.k.Symbols())
	if v.err != nil {
		r.lost("events of perf", 0, v.err)
		return
	}
	contexts := max(v.contexts.Size()/8, 1)
	for _, t := range r.allTasks("events of perf") {
		for thread, err := range t.Threads(r.ctx) {
			if err != nil {
				if r.tasks == nil { // else who gave them tells it
					r.lost("events of perf", t.Addr, err)
				}
				continue
			}
			for i := range contexts {
				ctx, err := r.k.Space().Uint64(v.contexts.Of(thread.Addr) + vmem.VirtAddr(8*i))
				if err != nil {
					r.lost("events of perf", thread.Addr, err)
				} else if ctx != 0 {
					r.perfContext(&v, fmt.Sprintf("task %d", thread.PID), vmem.VirtAddr(ctx))
				}
			}
		}
		if !r.alive() {
			return
		}
	}
	if err := r.perfOfCPUs(&v); err != nil {
		r.lost("events of perf", 0, err)
	}
}

// perfOfCPUs yields the events that CPUs have.
func (r *reader) perfOfCPUs(v *perfHandlerViews) error {
	cpus, err := r.k.Objects().CPUs()
	if err != nil {
		return err
	}
	if v.percpu.Ok() {
		return r.perfOfUnits(v, cpus)
	}
	for _, cpu := range cpus {
		at, _, err := r.k.Objects().PerCPU("perf_cpu_context", cpu)
		if err != nil {
			return err
		}
		r.perfContext(v, fmt.Sprintf("cpu %d", cpu), v.cpu.Of(at))
	}
	return nil
}

// perfOfUnits yields the events that each unit has for each CPU, until 6.1. Some units share theirs.
func (r *reader) perfOfUnits(v *perfHandlerViews, cpus []int) error {
	head, err := r.k.Symbol("pmus")
	if err != nil {
		return fmt.Errorf("%w: those of CPUs: %w", kstruct.ErrUnsupported, err)
	}
	seen := map[vmem.VirtAddr]bool{}
	for node, err := range r.walk("pmus").List(head) {
		var contexts vmem.VirtAddr
		if err == nil {
			contexts, err = v.percpu.Load(r.k.Space(), v.pmus.Container(node))
		}
		if err != nil {
			return err
		}
		if contexts == 0 || seen[contexts] {
			continue
		}
		seen[contexts] = true
		for _, cpu := range cpus {
			at, err := r.k.Objects().PerCPUPtr(contexts, cpu)
			if err != nil {
				return err
			}
			r.perfContext(v, fmt.Sprintf("cpu %d", cpu), v.cpu.Of(at))
		}
	}
	return nil
}

// perfContext yields what the events of a context call.
func (r *reader) perfContext(v *perfHandlerViews, entry string, at vmem.VirtAddr) {
	for node, err := range r.walk("events of perf of " + entry).List(v.list.Of(at)) {
		if r.over {
			return
		}
		event := v.entry.Container(node)
		var typ uint32
		var config uint64
		if err == nil {
			var err2 error
			typ, err = v.typ.Load(r.k.Space(), event)
			config, err2 = v.config.Load(r.k.Space(), event)
			err = errors.Join(err, err2)
		}
		if err != nil {
			r.lost("events of perf of "+entry, at, err)
			continue
		}
		r.structure(PerfHandlerTable, fmt.Sprintf("%s %d/%#x", entry, typ, config), "perf_event", event)
	}
}
