package integrity

import (
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// A single is a variable that holds pointers to functions itself.
type single struct {
	table     string
	variable  string
	typ       string   // a structure; empty for an array of pointers
	count     uint64   // of the array, at most
	functions []string // that use it; none where what they use can't be told apart
	needs     string   // a function without which the kernel has no such variable
	anyone    bool     // modules may set it, such as ipmi_poweroff
	once      []string // members of the structure that are called while the kernel starts, and never again: their code is freed
}

// singles are variables that hold pointers to functions: what keys do, what ends the machine, and what is done to other CPUs.
var singles = [...]single{
	{table: "keyboard", variable: "k_handler", count: 16, functions: []string{"kbd_event"}, needs: "kbd_event"},
	{table: "keyboard", variable: "fn_handler", count: 20, functions: []string{"k_spec"}, needs: "kbd_event"},
	{table: "power", variable: "machine_ops", typ: "machine_ops", functions: []string{"machine_restart"}},
	{table: "power", variable: "smp_ops", typ: "smp_ops",
		once: []string{"smp_prepare_boot_cpu", "smp_prepare_cpus", "smp_cpus_done"}},
	{table: "power", variable: "pm_power_off", count: 1, anyone: true},
}

// readSingles yields what these variables call.
func readSingles(r *reader) {
	for i := range singles {
		s := &singles[i]
		if s.needs != "" && !r.has(s.needs) {
			continue
		}
		at, err := r.find(variable{s.variable, s.functions, func(a vmem.VirtAddr) bool { return r.holdsCode(s, a) }})
		if err != nil {
			r.lost(s.variable, 0, err)
			continue
		}
		if !r.single(s, at) {
			return
		}
	}
}

// leaveOut takes members of a structure out of what is told of it.
func (r *reader) leaveOut(s *single) {
	slots := slices.Clone(r.slots(s.typ))
	r.types[s.typ] = slices.DeleteFunc(slots, func(x slot) bool { return slices.Contains(s.once, x.name) })
}

// holdsCode reports whether a variable can be at an address: all of it leads to code.
func (r *reader) holdsCode(s *single, at vmem.VirtAddr) bool {
	if s.typ != "" {
		r.leaveOut(s)
		some, ok := r.calls(s.typ, at)
		return some && ok
	}
	for i := range s.count {
		if p, ok := r.pointer(at + vmem.VirtAddr(8*i)); !ok || r.Verdict(p).Kind == Unknown {
			return false
		}
	}
	return true
}

// single yields what a variable calls.
func (r *reader) single(s *single, at vmem.VirtAddr) bool {
	if s.typ != "" {
		r.leaveOut(s)
		return r.structure(s.table, s.variable, s.typ, at)
	}
	count := s.count
	if _, err := r.k.Symbol(s.variable); err == nil {
		if e, ok := r.symbols.Extent(at); ok {
			count = min(count, e.Size/8)
		}
	}
	for i := range count {
		place := at + vmem.VirtAddr(8*i)
		target, err := r.k.Space().Uint64(place)
		if err != nil {
			return r.lost(s.variable, place, err)
		}
		entry := s.variable
		if s.count > 1 {
			entry = fmt.Sprintf("%s %d", s.variable, i)
		}
		if target == 0 {
			continue
		}
		h := r.owned(s.table, entry, place, at, vmem.VirtAddr(target))
		if s.anyone {
			h = r.Hook(s.table, entry, place, vmem.VirtAddr(target))
		}
		if !r.found(h) {
			return false
		}
	}
	return true
}
