package integrity

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// A gate is struct gate_struct (arch/x86/include/asm/desc_defs.h).
type gate struct {
	Low       uint16 `kernel:"offset_low"`
	Middle    uint16 `kernel:"offset_middle"`
	High      uint32 `kernel:"offset_high"`
	Privilege uint16 `kernel:"bits.dpl"`
	Present   uint16 `kernel:"bits.p"`
}

func (g *gate) target() vmem.VirtAddr {
	return vmem.VirtAddr(uint64(g.High)<<32 | uint64(g.Middle)<<16 | uint64(g.Low))
}

// vectors is how many entries the table has: IDT_ENTRIES.
const vectors = 256

// mappedIDT is where all CPUs find the table, mapped so that it can only be read: CPU_ENTRY_AREA_RO_IDT of
// arch/x86/include/asm/cpu_entry_area.h.
const mappedIDT vmem.VirtAddr = 0xfffffe0000000000

// exceptions are the names of the vectors of the processor (Intel SDM, "Exceptions and Interrupts"), and of
// that of system calls.
var exceptions = map[int]string{
	0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 9: "coprocessor segment overrun",
	10: "#TS", 11: "#NP", 12: "#SS", 13: "#GP", 14: "#PF", 15: "spurious", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM",
	20: "#VE", 21: "#CP", 28: "#HV", 29: "#VC", 30: "#SX", systemCall: "system call",
}

// systemCall is the vector of system calls of 32-bit programs: IA32_SYSCALL_VECTOR.
const systemCall = 0x80

// readIDT yields the entries of the interrupt descriptor table. It is read where CPUs have it, which needs no symbol: the kernel maps it at one
// address. Where idt_table has a symbol, both have to be one. Where the image has the state of CPUs, as QEMU's have, their registers
// say where they have it.
func readIDT(r *reader) {
	b := kstruct.NewBinder(r.k.Symbols())
	view := kstruct.Bind[gate](b, "gate_struct")
	if err := b.Err(); err != nil {
		r.lost("idt", mappedIDT, err)
		return
	}
	table := mappedIDT
	symbol, err := r.k.Symbol("idt_table")
	known := err == nil
	mapped, mapErr := r.k.Space().Translate(mappedIDT)
	if mapErr != nil { // its page table is lost
		if !known {
			r.lost("idt", mappedIDT, mapErr)
			return
		}
		table = symbol
	}
	moved := ""
	if m, err := r.k.Space().Translate(symbol); known && err == nil && mapErr == nil && m.At(symbol) != mapped.At(mappedIDT) {
		moved = fmt.Sprintf("what is mapped at %v is not idt_table, which CPUs are to use", mappedIDT)
	}
	r.readGates(view, "idt", table, moved)
	var others []vmem.VirtAddr
	for i, cpu := range r.cpus() {
		if cpu.IDT == mappedIDT || known && cpu.IDT == symbol || cpu.IDT == 0 || slices.Contains(others, cpu.IDT) {
			continue
		}
		others = append(others, cpu.IDT)
		r.readGates(view, fmt.Sprintf("idt of CPU %d", i), cpu.IDT, fmt.Sprintf("its IDTR is %v, and not that of the kernel's table", cpu.IDT))
	}
}

// cpus returns the states of CPUs that the image has.
func (r *reader) cpus() []vmcoreinfo.CPU {
	if m, ok := vmem.As[interface{ CPUs() []vmcoreinfo.CPU }](r.k.Physical()); ok {
		return m.CPUs()
	}
	return nil
}

// readGates yields the entries of a table. moved says why the table as a whole does not belong.
func (r *reader) readGates(view *kstruct.View[gate], table string, at vmem.VirtAddr, moved string) {
	entry := r.entryText()
	for vector := range vectors {
		at := at + vmem.VirtAddr(uint64(vector)*view.Size())
		var g gate
		if err := view.Read(r.k.Space(), at, &g); err != nil {
			r.lost(table, at, err)
			return
		}
		if g.Present == 0 {
			continue
		}
		h := r.gate(table, vector, at, &g, entry)
		if moved != "" {
			h.suspect("%s", moved)
		}
		if !r.found(h) {
			return
		}
	}
}

// entryText returns the code that interrupts enter the kernel by, empty where that is not known.
func (r *reader) entryText() (text vmem.Range[vmem.VirtAddr]) {
	start, err := r.k.Symbol("__entry_text_start")
	end, err2 := r.k.Symbol("__entry_text_end")
	if errors.Join(err, err2) == nil && start < end {
		text = vmem.Range[vmem.VirtAddr]{Start: start, Size: uint64(end - start)}
	}
	return text
}

// gate makes the hook of an entry.
func (r *reader) gate(table string, vector int, at vmem.VirtAddr, g *gate, entry vmem.Range[vmem.VirtAddr]) Hook {
	target := g.target()
	h := r.Hook(table, fmt.Sprint(vector), at, target)
	name := exceptions[vector]
	if name == "" {
		name = strings.TrimPrefix(strings.TrimPrefix(h.Symbol, "asm_"), "sysvec_")
		if strings.Contains(name, "+") {
			name = ""
		}
	}
	if name != "" {
		h.Entry += " " + name
	}
	if h.Verdict.Kind == Unknown && r.early(vector, target) {
		h.Verdict, h.Suspect, h.Evidence = Verdict{Kind: Kernel}, false, []string{"it is as it was while the kernel started: nothing has taken its place, and its code is freed"}
		return h
	}
	h.mustBeKernel()
	if !h.Suspect && entry.Size > 0 && !entry.Contains(target) {
		h.suspect("it is not in the code that interrupts enter the kernel by")
	}
	if g.Privilege == 3 && vector != 3 && vector != 4 && vector != systemCall {
		h.suspect("programs may raise it")
	}
	return h
}

// early reports whether an address is that of the handler that a vector has while the kernel starts: one after
// the other in early_idt_handler_array, each EARLY_IDT_HANDLER_SIZE long.
func (r *reader) early(vector int, target vmem.VirtAddr) bool {
	start, err := r.k.Symbol("early_idt_handler_array")
	if err != nil {
		_, missing := errors.AsType[*isf.LookupError](err)
		return missing && vector < 32 && r.initText(target)
	}
	off := uint64(target - start)
	return vector < 32 && (off == uint64(vector)*9 || off == uint64(vector)*13)
}

// initText reports whether an address is in the code that the kernel starts by.
func (r *reader) initText(a vmem.VirtAddr) bool {
	start, err := r.k.Symbol("_sinittext")
	end, err2 := r.k.Symbol("_einittext")
	return errors.Join(err, err2) == nil && start <= a && a < end
}
