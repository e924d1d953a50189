package x86_test

import (
	"encoding/binary"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// An oracle is a second reader of page tables, as naive as can be: it reads each
// entry from memory on its own, looks at it bit by bit, and knows no cache. The
// randomised tests compare the package with it.
type oracle struct {
	mem        vmem.Memory
	root       vmem.PhysAddr
	levels     int
	encryption uint64
	physBits   int
	steps      []step
	limit      int
}

func bit(e uint64, n int) bool { return e>>n&1 == 1 }

// verdict is what one entry says.
type verdict int

const (
	isTable verdict = iota
	isPage
	isNothing
	isBad
	isSwapped
	isSpecial
)

var verdictErrors = map[verdict]error{
	isNothing: vmem.ErrNotPresent,
	isBad:     vmem.ErrBadEntry,
	isSwapped: vmem.ErrSwapped,
	isSpecial: vmem.ErrSpecialEntry,
}

// judge says what an entry is and where it leads.
func (o *oracle) judge(e uint64, level int, kernel bool) (verdict, vmem.PhysAddr) {
	inverted := !bit(e, 0)
	if inverted {
		if v := o.judgeAbsent(e, level, kernel); v != isPage {
			return v, 0
		}
		e ^= 0x000f_ffff_ffff_f000
	}
	var addr uint64
	for n := 12; n < 52; n++ {
		if !bit(e, n) || bit(o.encryption, n) {
			continue
		}
		if n >= o.physBits {
			return isBad, 0
		}
		addr |= 1 << n
	}
	large := bit(e, 7)
	switch {
	case level == 1:
		return isPage, vmem.PhysAddr(addr)
	case !large:
		return isTable, vmem.PhysAddr(addr)
	case level > 3:
		return isBad, 0
	}
	size := map[int]uint64{2: 2 << 20, 3: 1 << 30}[level]
	below := addr % size
	if !inverted && below != 0 && below != 1<<12 {
		return isBad, 0
	}
	return isPage, vmem.PhysAddr(addr - below)
}

func (o *oracle) judgeAbsent(e uint64, level int, kernel bool) verdict {
	protNone, large := bit(e, 8), bit(e, 7)
	switch {
	case kernel:
		return isNothing
	case e == 0 || e == 0x20 || e == 0x40 || e == 0x60:
		return isNothing
	case level >= 4:
		return isBad
	case level == 1 && protNone, level > 1 && large:
		return isPage
	case protNone || large:
		return isBad
	case e>>59 < 16:
		return isSwapped
	}
	return isSpecial
}

// walk lists the whole address space below one table. upper are the entries that
// led there, from the top.
func (o *oracle) walk(table vmem.PhysAddr, level int, base vmem.VirtAddr, upper []uint64, path []vmem.PhysAddr) {
	span := uint64(1) << (12 + 9*(level-1))
	path = append(slices.Clip(path), table)
	if !o.anyCaptured(table) {
		o.lose(virtRange{Start: o.extend(base), Size: 512 * span}, fault{Virt: o.extend(base), Phys: table, Level: level, Err: vmem.ErrNotCaptured})
		return
	}
	for i := range uint64(512) {
		o.entry(table+vmem.PhysAddr(8*i), level, virtRange{Start: o.extend(base + vmem.VirtAddr(i*span)), Size: span}, upper, path)
	}
}

func (o *oracle) entry(at vmem.PhysAddr, level int, span virtRange, upper []uint64, path []vmem.PhysAddr) {
	if len(o.steps) >= o.limit {
		return
	}
	var b [8]byte
	if n, err := o.mem.ReadAt(b[:], int64(at)); err != nil {
		o.lose(span, fault{Virt: span.Start, Phys: at + vmem.PhysAddr(n), Level: level, Err: vmem.ErrNotCaptured})
		return
	}
	e := binary.LittleEndian.Uint64(b[:])
	lost := fault{Virt: span.Start, Phys: at, Level: level, Entry: e}
	upper = append(slices.Clip(upper), e)
	v, to := o.judge(e, level, span.Start >= 1<<63)
	switch v {
	case isNothing:
	case isPage:
		o.steps = append(o.steps, step{Mapping: vmem.Mapping{Range: span, Phys: to, Flags: o.flags(upper, span.Start)}})
	case isTable:
		if slices.Contains(path, to) {
			lost.Err = vmem.ErrBadEntry
			o.lose(span, lost)
			return
		}
		o.walk(to, level-1, span.Start, upper, path)
	default:
		lost.Err = verdictErrors[v]
		o.lose(span, lost)
	}
}

func (o *oracle) lose(part virtRange, f fault) {
	o.steps = append(o.steps, step{Mapping: vmem.Mapping{Range: part}, Fault: &f})
}

// anyCaptured reports whether one byte of the frame at pa is there.
func (o *oracle) anyCaptured(pa vmem.PhysAddr) bool {
	for i := range int64(vmem.PageSize) {
		if n, _ := o.mem.ReadAt(make([]byte, 1), int64(pa)+i); n == 1 {
			return true
		}
	}
	return false
}

// extend makes an address canonical.
func (o *oracle) extend(va vmem.VirtAddr) vmem.VirtAddr {
	top := 12 + 9*o.levels
	if bit(uint64(va), top-1) {
		return va | ^vmem.VirtAddr(0)<<top
	}
	return va
}

// flags combines the entries on the way to a page.
func (o *oracle) flags(entries []uint64, va vmem.VirtAddr) vmem.Flags {
	f := vmem.Flags{Write: true, User: true}
	for i, e := range entries {
		f.Write = f.Write && bit(e, 1)
		f.User = f.User && bit(e, 2)
		if top := i == 0; !top || va >= 1<<63 {
			f.NX = f.NX || bit(e, 63)
		}
	}
	last := entries[len(entries)-1]
	f.Accessed, f.Dirty, f.Global = bit(last, 5), bit(last, 6) || bit(last, 58), bit(last, 8)
	if !bit(last, 0) {
		f.Write, f.User, f.Global, f.ProtNone = false, false, false, true
	}
	return f
}

// list returns all that the tables map, in address order, up to limit elements.
func (o *oracle) list() []step {
	o.steps = nil
	o.walk(o.root, o.levels, 0, nil, nil)
	return o.steps
}

// find returns the first step whose range has va in it, or nil.
func find(steps []step, va vmem.VirtAddr) *step {
	for i := range steps {
		if steps[i].Range.Contains(va) {
			return &steps[i]
		}
	}
	return nil
}
