package pagetest

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// Bits of page-table entries, from the Intel SDM and, for ProtNone, from Linux.
const (
	Present  = 1 << 0
	Write    = 1 << 1
	User     = 1 << 2
	Accessed = 1 << 5
	Dirty    = 1 << 6
	Large    = 1 << 7 // in an entry of level 2 or 3: a page
	Global   = 1 << 8
	ProtNone = 1 << 8 // in an entry that is not present
	PATLarge = 1 << 12
	NX       = 1 << 63

	// Table is what Linux gives to entries that point to a table (_PAGE_TABLE).
	Table = Present | Write | User | Accessed | Dirty
)

// Tables are the page tables of one address space, inside a Memory.
type Tables struct {
	mem    *Memory
	levels int
	root   vmem.PhysAddr
	next   vmem.PhysAddr // where the next table goes
}

// NewTables makes an empty top-level table at start; further tables follow it
// upwards as they are needed.
func NewTables(m *Memory, levels int, start vmem.PhysAddr) *Tables {
	t := &Tables{mem: m, levels: levels, next: start}
	t.root = t.newTable()
	return t
}

// Root returns the physical address of the top-level table.
func (t *Tables) Root() vmem.PhysAddr { return t.root }

// End returns the address behind the last table.
func (t *Tables) End() vmem.PhysAddr { return t.next }

func (t *Tables) newTable() vmem.PhysAddr {
	t.mem.Zero(t.next, vmem.PageSize)
	t.next += vmem.PageSize
	return t.next - vmem.PageSize
}

// EntryAddr returns the physical address of the entry of a level that translates
// va, and makes the tables above it where they are missing.
func (t *Tables) EntryAddr(va vmem.VirtAddr, level int) vmem.PhysAddr {
	table := t.root
	for l := t.levels; ; l-- {
		at := table + vmem.PhysAddr(va>>(12+9*(l-1))&511)*8
		if l == level {
			return at
		}
		e := t.mem.word(at)
		if e == 0 {
			e = uint64(t.newTable()) | Table
			t.mem.PutUint64(at, e)
		}
		table = vmem.PhysAddr(e & 0xf_ffff_ffff_f000)
	}
}

// Set writes an entry of a level as it is, where va is translated.
func (t *Tables) Set(va vmem.VirtAddr, level int, entry uint64) {
	t.mem.PutUint64(t.EntryAddr(va, level), entry)
}

// Map maps the page of the given level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB) at va to pa
// with the given bits. Large is added where it belongs.
func (t *Tables) Map(va vmem.VirtAddr, pa vmem.PhysAddr, level int, bits uint64) {
	if mask := uint64(1)<<(12+9*(level-1)) - 1; (uint64(va)|uint64(pa))&mask != 0 {
		panic(fmt.Sprintf("pagetest: mapping %v to %v is not aligned to a page of level %d", va, pa, level))
	}
	if level > 1 {
		bits |= Large
	}
	t.Set(va, level, uint64(pa)|bits)
}

func (m *Memory) word(pa vmem.PhysAddr) uint64 {
	var b [8]byte
	if _, err := m.ReadAt(b[:], int64(pa)); err != nil {
		panic(fmt.Sprintf("pagetest: table entry at %v: %v", pa, err))
	}
	return binary.LittleEndian.Uint64(b[:])
}
