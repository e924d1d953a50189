package kstack

import (
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An orcEntry is struct orc_entry (arch/x86/include/asm/orc_types.h) in one form for all kernels.
type orcEntry struct {
	spOffset, bpOffset int64
	sp, bp             reg
	kind               orcKind
	signal             bool // the address is of the instruction itself, not of the one behind a call
}

// A reg is what an offset of an orcEntry is from.
type reg uint8

const (
	undefined reg = iota
	prevSP
	regAX
	regDX
	regDI
	regBP
	regSP
	regR10
	regR13
	bpIndirect
	spIndirect
	noReg
)

// The numbers of registers until 7.0, and since then.
var (
	regsOld = [16]reg{undefined, prevSP, regDX, regDI, regBP, regSP, regR10, regR13, bpIndirect, spIndirect, noReg, noReg, noReg, noReg, noReg, noReg}
	regsNew = [16]reg{undefined, regAX, regDX, regSP, regBP, regDI, regR10, regR13, prevSP, spIndirect, bpIndirect, noReg, noReg, noReg, noReg, noReg}
)

// An orcKind is what lies at the previous stack pointer.
type orcKind uint8

const (
	kindUndefined orcKind = iota
	kindEnd               // of the stack
	kindCall
	kindRegs        // struct pt_regs
	kindRegsPartial // the end of one, from the instruction pointer on
	kindBad
)

// A format is how a kernel writes entries.
type format struct {
	regs       [16]reg
	hasEnd     bool // a bit for the end of the stack, and no kind: until 6.3 (fb799447ae29)
	hasSignal  bool // since 6.3 (ffb1b4a41016)
	threeKinds bool // the kind has two bits
}

const entrySize = 6

// newFormat goes by the members of struct orc_entry, and by which register most frames are from: their numbers have no names in types.
func newFormat(types *isf.File, table []byte) (f format, err error) {
	u, err := types.UserType("orc_entry")
	if err != nil {
		return f, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
	}
	if u.Size != entrySize {
		return f, fmt.Errorf("%w: orc_entry of %d bytes", kstruct.ErrUnsupported, u.Size)
	}
	f.hasEnd, f.hasSignal = types.HasField("orc_entry", "end"), types.HasField("orc_entry", "signal")
	f.threeKinds = f.hasEnd
	var counts [16]int
	for i := 4; i < len(table); i += entrySize {
		counts[table[i]&0xf]++
	}
	if f.regs = regsOld; counts[3] > counts[5] {
		f.regs = regsNew
	}
	return f, nil
}

// decode reads an entry.
func (f *format) decode(b []byte) orcEntry {
	e := orcEntry{
		spOffset: int64(int16(binary.LittleEndian.Uint16(b))), bpOffset: int64(int16(binary.LittleEndian.Uint16(b[2:]))),
		sp: f.regs[b[4]&0xf], bp: f.regs[b[4]>>4],
	}
	flags := b[5]
	if !f.threeKinds {
		e.signal = flags>>3&1 != 0
		e.kind = orcKind(min(flags&7, uint8(kindBad)))
		return e
	}
	e.kind = [...]orcKind{kindCall, kindRegs, kindRegsPartial, kindBad}[flags&3]
	end := flags >> 2 & 1
	if f.hasSignal {
		e.signal, end = end != 0, flags>>3&1
	} else {
		e.signal = e.kind == kindRegs || e.kind == kindRegsPartial
	}
	if e.sp == undefined {
		if e.kind = kindUndefined; end != 0 {
			e.kind = kindEnd
		}
	}
	return e
}

// framePointer is what code without an entry is taken for: such as BPF, which keeps a frame pointer (orc_fp_entry).
var framePointer = orcEntry{spOffset: 16, bpOffset: -16, sp: regBP, bp: prevSP, kind: kindCall}

// A table is the ORC data of the kernel or of a module: addresses, each an offset from where it stands, and an entry for each.
type table struct {
	base    vmem.VirtAddr // of the addresses
	ips     []byte
	entries []byte
}

func (t *table) len() int { return len(t.ips) / 4 }

// ip returns the address that an entry is for.
func (t *table) ip(i int) vmem.VirtAddr {
	return t.base + vmem.VirtAddr(4*i) + vmem.VirtAddr(int64(int32(binary.LittleEndian.Uint32(t.ips[4*i:]))))
}

// find returns the entry of the last address that is not behind ip (__orc_find of arch/x86/kernel/unwind_orc.c).
func (t *table) find(ip vmem.VirtAddr) ([]byte, bool) {
	i := sort.Search(t.len(), func(i int) bool { return t.ip(i) > ip }) - 1
	if i < 0 {
		return nil, false
	}
	return t.entries[entrySize*i : entrySize*(i+1)], true
}

// read reads a table of n entries.
func readTable(mem *vmem.AddressSpace, ips, entries vmem.VirtAddr, n uint64) (*table, error) {
	t := &table{base: ips, ips: make([]byte, 4*n), entries: make([]byte, entrySize*n)}
	if _, err := mem.ReadVirt(t.ips, ips); err != nil {
		return nil, err
	}
	_, err := mem.ReadVirt(t.entries, entries)
	return t, err
}
