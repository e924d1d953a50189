package integrity

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

type timerViews struct {
	vectors  kstruct.Member // timer_base.vectors
	base     uint64         // the size of a timer_base
	cpu      *kstruct.Field[uint32]
	entry    kstruct.Member // timer_list.entry
	function *kstruct.Field[vmem.VirtAddr]
	delayed  kstruct.Member // delayed_work.timer
	work     kstruct.Member // delayed_work.work.func
	workFunc *kstruct.Field[vmem.VirtAddr]
	err      error
}

func bindTimers(types *isf.File) (v timerViews) {
	b := kstruct.NewBinder(types)
	v.vectors = kstruct.BindMember(b, "timer_base", "vectors")
	v.cpu = kstruct.BindField[uint32](b, "timer_base", "cpu")
	v.entry = kstruct.BindMember(b, "timer_list", "entry")
	v.function = kstruct.BindField[vmem.VirtAddr](b, "timer_list", "function")
	v.delayed = kstruct.BindMember(b, "delayed_work", "timer")
	v.work = kstruct.BindMember(b, "delayed_work", "work.func")
	v.workFunc = kstruct.BindField[vmem.VirtAddr](b, "delayed_work", "work.func")
	if t, err := types.UserType("timer_base"); err == nil {
		v.base = t.Size
	}
	v.err = b.Err()
	return v
}

// TimerTable is [Hook].Table of what the wheel of timers calls, [HRTimerTable] of what high-resolution timers call.
const (
	TimerTable   = "timers"
	HRTimerTable = "hrtimers"
)

// readTimers yields what timers call once they expire: those of the wheel (timer_bases of kernel/time/timer.c) of every CPU. Of a
// timer that puts work into a queue, the work is told, too.
func readTimers(r *reader) {
	v := bindTimers(r.k.Symbols())
	cpus, err := r.k.Objects().CPUs()
	if v.err != nil {
		err = v.err
	}
	if err != nil {
		r.lost("timers", 0, err)
		return
	}
	const variable = "timer_bases"
	count := uint64(0)
	for _, cpu := range cpus {
		at, typ, err := r.k.Objects().PerCPU(variable, cpu)
		if err != nil {
			r.lost("timers", 0, err)
			return
		}
		if count == 0 {
			count = r.countOf(variable, typ, v.base)
		}
		for i := range count {
			base := at + vmem.VirtAddr(i*v.base)
			if n, err := v.cpu.Load(r.k.Space(), base); err == nil && int(n) != cpu && i > 0 {
				continue // something else that lies behind them
			}
			if !r.wheel(&v, cpu, base) {
				return
			}
		}
	}
}

// countOf returns how many elements of a size a per-CPU variable has: by its type, or where that is not known by what is next to it.
func (r *reader) countOf(name string, t *isf.Type, size uint64) uint64 {
	const most = 8
	if t != nil && t.Kind == isf.KindArray {
		return min(t.Count, most)
	}
	s, err := r.k.Symbols().Symbol(name)
	if err != nil || size == 0 {
		return 1
	}
	next := s.Address + most*size
	for other := range r.k.Symbols().Symbols() {
		if other.Address > s.Address {
			next = min(next, other.Address)
		}
	}
	return max((next-s.Address)/size, 1)
}

// wheel yields what the timers of one wheel call.
func (r *reader) wheel(v *timerViews, cpu int, base vmem.VirtAddr) bool {
	delayed, _ := r.k.Symbol("delayed_work_timer_fn")
	w := r.walk("timers")
	for i := range v.vectors.Count() {
		if !r.alive() {
			return false
		}
		for node, err := range w.HList(v.vectors.Of(base) + vmem.VirtAddr(8*i)) {
			at := v.entry.Container(node)
			var target vmem.VirtAddr
			if err == nil {
				target, err = v.function.Load(r.k.Space(), at)
			}
			if err != nil {
				r.lost("timers", node, err)
				continue
			}
			if !r.call(TimerTable, fmt.Sprintf("cpu %d %s", cpu, r.symbols.Describe(at)), at+vmem.VirtAddr(v.function.Offset()), at, target) {
				return false
			}
			if target == delayed && delayed != 0 && !r.delayedWork(v, cpu, v.delayed.Container(at)) {
				return false
			}
		}
	}
	return true
}

// delayedWork yields the function of work that a timer is to put into its queue.
func (r *reader) delayedWork(v *timerViews, cpu int, at vmem.VirtAddr) bool {
	target, err := v.workFunc.Load(r.k.Space(), at)
	if err != nil {
		return r.lost("delayed work", at, err)
	}
	h := r.owned(WorkTable, fmt.Sprintf("delayed on cpu %d %s", cpu, r.symbols.Describe(at)), v.work.Of(at), at, target)
	return r.found(h)
}

type hrtimerViews struct {
	bases    kstruct.Member // hrtimer_cpu_base.clock_base
	size     uint64         // of a clock base
	active   kstruct.Member // the root of a tree
	node     kstruct.Member
	function *kstruct.Field[vmem.VirtAddr]
	err      error
}

func bindHRTimers(types *isf.File) (v hrtimerViews) {
	b := kstruct.NewBinder(types)
	v.bases = kstruct.BindMember(b, "hrtimer_cpu_base", "clock_base")
	v.active = kstruct.BindMember(b, "hrtimer_clock_base", "active.rb_root.rb_root") // of rb_root_linked, since 7.1, or rb_root_cached
	v.node = kstruct.BindMember(b, "hrtimer", "node.node.node", "node.node")
	v.function = kstruct.BindField[vmem.VirtAddr](b, "hrtimer", "function")
	if t, err := types.UserType("hrtimer_clock_base"); err == nil {
		v.size = t.Size
	}
	v.err = b.Err()
	return v
}

// readHRTimers yields what high-resolution timers call once they expire, of every CPU and clock: the active timers that
// /proc/timer_list shows (kernel/time/hrtimer.c).
func readHRTimers(r *reader) {
	v := bindHRTimers(r.k.Symbols())
	cpus, err := r.k.Objects().CPUs()
	if v.err != nil {
		err = v.err
	}
	if err != nil {
		r.lost("hrtimers", 0, err)
		return
	}
	w := r.walk("hrtimers")
	for _, cpu := range cpus {
		base, _, err := r.k.Objects().PerCPU("hrtimer_bases", cpu)
		if err != nil {
			r.lost("hrtimers", 0, err)
			return
		}
		for clock := range v.bases.Count() {
			for node, err := range w.RBTree(v.active.Of(v.bases.Of(base) + vmem.VirtAddr(clock*v.size))) {
				at := v.node.Container(node)
				var target vmem.VirtAddr
				if err == nil {
					target, err = v.function.Load(r.k.Space(), at)
				}
				if err != nil {
					r.lost("hrtimers", node, err)
					continue
				}
				if !r.call(HRTimerTable, fmt.Sprintf("cpu %d clock %d %s", cpu, clock, r.symbols.Describe(at)), at+vmem.VirtAddr(v.function.Offset()), at, target) {
					return
				}
			}
		}
	}
}
