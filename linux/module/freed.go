package module

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A tracedModule is struct ftrace_mod_map of kernel/trace/ftrace.c: functions that initialised a module, which ftrace traced.
type tracedModule struct {
	Module vmem.VirtAddr `kernel:"mod"`
}

// A tracedFunction is struct ftrace_mod_func of kernel/trace/ftrace.c.
type tracedFunction struct {
	Name vmem.VirtAddr `kernel:"name"`
	IP   vmem.VirtAddr `kernel:"ip"`
	Size uint32        `kernel:"size"`
}

// maxFreed is how many functions are read: each loaded module has a few.
const maxFreed = 1 << 16

// Freed returns the functions that initialised modules and were freed since, by the modules that had them: once ftrace is used, the kernel keeps their
// names (ftrace_mod_maps of kernel/trace/ftrace.c), and /proc/kallsyms shows them. Other code may be at their
// addresses by now. The list has no symbol where kallsyms has code alone: that is a gap. Kernels without ftrace have none.
func (s *Set) Freed(ctx context.Context) (map[*Module][]Symbol, []vmem.Gap) {
	b := kstruct.NewBinder(s.k.Symbols())
	traced := kstruct.BindOptional[tracedModule](b, "ftrace_mod_map")
	function := kstruct.BindOptional[tracedFunction](b, "ftrace_mod_func")
	if !traced.Ok() || !function.Ok() {
		return nil, nil
	}
	const object = "functions that initialised modules"
	head, err := s.k.Symbol("ftrace_mod_maps")
	if err != nil {
		return nil, []vmem.Gap{vmem.NewGap(object, vmem.Place{}, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))}
	}
	inMaps := kstruct.BindMember(b, "ftrace_mod_map", "list")
	functions := kstruct.BindMember(b, "ftrace_mod_map", "funcs")
	inFunctions := kstruct.BindMember(b, "ftrace_mod_func", "list")
	if err := b.Err(); err != nil {
		return nil, []vmem.Gap{vmem.NewGap(object, vmem.KernelPlace(head), err)}
	}
	owners := map[vmem.VirtAddr]*Module{}
	for _, m := range s.modules {
		owners[m.Address] = m
	}
	freed := map[*Module][]Symbol{}
	var gaps []vmem.Gap
	lose := func(at vmem.VirtAddr, err error) { gaps = append(gaps, vmem.NewGap(object, vmem.KernelPlace(at), err)) }
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: maxFreed})
	for node, err := range w.List(head) {
		var t tracedModule
		if err == nil {
			err = traced.Read(s.k.Space(), inMaps.Container(node), &t)
		}
		if err != nil {
			lose(head, err)
			continue
		}
		m := owners[t.Module]
		if m == nil {
			lose(node, fmt.Errorf("%w: of a module that there is not, at %v", kstruct.ErrCorrupt, t.Module))
			continue
		}
		for node, err := range w.List(functions.Of(inMaps.Container(node))) {
			var f tracedFunction
			var name string
			if err == nil {
				err = function.Read(s.k.Space(), inFunctions.Container(node), &f)
			}
			if err == nil {
				name, err = s.k.Space().CString(f.Name, maxFreedName)
			}
			if err != nil {
				lose(node, err)
				continue
			}
			freed[m] = append(freed[m], Symbol{Name: name, Addr: f.IP, Size: uint64(f.Size), Type: 'T'})
		}
	}
	return freed, gaps
}

// maxFreedName is how long a name of a symbol is: KSYM_NAME_LEN.
const maxFreedName = 512
