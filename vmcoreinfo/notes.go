package vmcoreinfo

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// A Note is an entry of a PT_NOTE segment of an ELF file (elf(5)).
type Note struct {
	Name string // the owner, such as CORE or VMCOREINFO
	Type uint32
	Desc []byte
}

// ParseNotes returns the notes that b holds whole, and how many bytes they are, with zeros
// behind them. Names and descriptors are padded to four bytes. The notes refer to b.
func ParseNotes(b []byte) (notes []Note, used int) {
	le := binary.LittleEndian
	for len(b)-used >= 12 {
		h := b[used:]
		name, desc := uint64(le.Uint32(h)), uint64(le.Uint32(h[4:]))
		descAt := 12 + pad4(name)
		if descAt+desc > uint64(len(h)) {
			return notes, used
		}
		notes = append(notes, Note{Name: cString(h[12 : 12+name]), Type: le.Uint32(h[8:]), Desc: h[descAt : descAt+desc : descAt+desc]})
		used = min(len(b), used+int(descAt+pad4(desc)))
	}
	if rest := b[used:]; allZero(rest) {
		used = len(b)
	}
	return notes, used
}

func pad4(n uint64) uint64 { return (n + 3) &^ 3 }

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// A CPU is the part of a virtual CPU's state that says which page tables it used, and which interrupt descriptor table.
type CPU struct {
	CR0, CR2, CR3, CR4 uint64        // control registers (Intel SDM, "Control Registers")
	IDT                vmem.VirtAddr // what IDTR holds: the address of the table
}

// ParseCPUs returns the states that are in QEMU's notes among those given.
func ParseCPUs(notes []Note) []CPU {
	var cpus []CPU
	for _, n := range notes {
		// struct QEMUCPUState of QEMU's target/i386/arch_dump.c: version and size, 18
		// registers of 8 bytes, 10 segments of 24 bytes, then CR0 to CR4.
		const controls = 8 + 18*8 + 10*24
		if n.Name != "QEMU" || len(n.Desc) < controls+5*8 || binary.LittleEndian.Uint32(n.Desc) != 1 {
			continue
		}
		cr := func(i int) uint64 { return binary.LittleEndian.Uint64(n.Desc[controls+8*i:]) }
		idt := n.Desc[controls-24:] // the last of the segments: selector, limit, flags, padding, base
		cpus = append(cpus, CPU{CR0: cr(0), CR2: cr(2), CR3: cr(3), CR4: cr(4), IDT: vmem.VirtAddr(binary.LittleEndian.Uint64(idt[16:]))})
	}
	return cpus
}
