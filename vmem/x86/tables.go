package x86

import (
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/vmem"
)

// Options describe what page tables mean. A nil pointer means the zero value.
type Options struct {
	// Levels is the number of levels of the tables: 4, or 5 where the kernel runs
	// with LA57 (NUMBER(pgtable_l5_enabled) of VMCOREINFO). 0 means 4.
	Levels int
	// EncryptionMask is the bit of an entry that is not part of the address but
	// says that a page is encrypted or shared: NUMBER(sme_mask) of VMCOREINFO for
	// AMD SME and SEV, or the shared bit of an Intel TDX guest. 0 means none.
	EncryptionMask uint64
	// PhysBits is the number of bits of a physical address (MAXPHYADDR, "address
	// sizes" in /proc/cpuinfo). An entry that has a higher one set is malformed.
	// 0 means 52, the most that the architecture allows.
	PhysBits int
	// SwapTypes tells special swap entries apart. The zero value means that the
	// numbering is not known, see there.
	SwapTypes vmem.SwapTypes
	// LostRoot allows a top-level table of which nothing can be read. What is in no linear
	// map can't be translated then.
	LostRoot bool
}

// Tables are the page tables of one address space: that of the kernel or of one process.
// They are immutable and safe for concurrent use.
//
// Under page table isolation a process has two sets of tables. The one to use is
// mm->pgd, that of the kernel, which maps both halves; the user's has bit 12 of
// its address set and maps hardly any of the kernel.
type Tables struct {
	phys       *vmem.Physical
	root       vmem.PhysAddr
	levels     int
	encryption entry // of addressBits, those that are not part of the address
	reserved   entry // of the other addressBits, those that must be zero
	swapTypes  vmem.SwapTypes
}

var _ vmem.Tables = (*Tables)(nil)

// NewAddressSpace returns the virtual memory that the tables define which [NewTables]
// returns.
func NewAddressSpace(p *vmem.Physical, root vmem.PhysAddr, opts *Options) (*vmem.AddressSpace, error) {
	t, err := NewTables(p, root, opts)
	if err != nil {
		return nil, err
	}
	return vmem.NewAddressSpace(p, t), nil
}

// NewTables returns the page tables in p whose top-level table is at root, which is what
// CR3 or mm->pgd leads to: a multiple of 4096, so the PCID bits of a CR3 must be cleared.
// The encryption bit may be set. The error is a *vmem.Fault if nothing of the top-level
// table can be read, unless that is allowed.
func NewTables(p *vmem.Physical, root vmem.PhysAddr, opts *Options) (*Tables, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	t := &Tables{
		phys:       p,
		root:       root &^ vmem.PhysAddr(o.EncryptionMask),
		levels:     o.Levels,
		encryption: entry(o.EncryptionMask),
		reserved:   addressBits &^ (1<<o.PhysBits - 1) &^ entry(o.EncryptionMask),
		swapTypes:  o.SwapTypes,
	}
	if t.root%PageSize != 0 {
		return nil, fmt.Errorf("x86: page-table root %v is not page aligned", root)
	}
	if o.LostRoot {
		return t, nil
	}
	if err := t.checkRoot(); err != nil {
		return nil, err
	}
	return t, nil
}

// complete puts the defaults in and checks the rest.
func (o *Options) complete() error {
	if o.Levels == 0 {
		o.Levels = 4
	}
	if o.PhysBits == 0 {
		o.PhysBits = 52
	}
	switch {
	case o.Levels != 4 && o.Levels != 5:
		return fmt.Errorf("x86: page tables of %d levels: only 4 and 5 exist", o.Levels)
	case o.PhysBits < 32 || o.PhysBits > 52:
		return fmt.Errorf("x86: physical addresses of %d bits: only 32 to 52 exist", o.PhysBits)
	case bits.OnesCount64(o.EncryptionMask) > 1 || o.EncryptionMask != 0 && o.EncryptionMask&(1<<52-1<<32) == 0:
		return fmt.Errorf("x86: encryption mask %#x: not one of bits 32 to 51", o.EncryptionMask)
	case o.SwapTypes.Special() > vmem.SwapTypeCount:
		return fmt.Errorf("x86: %d special swap types: only %d exist", o.SwapTypes.Special(), vmem.SwapTypeCount)
	}
	return nil
}

// checkRoot returns the *vmem.Fault for which no entry of the top-level table can be read.
func (t *Tables) checkRoot() error {
	var first error
	for off := vmem.PhysAddr(0); off < PageSize; off += entrySize {
		_, err := t.phys.View(t.root+off, entrySize)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// Levels returns the number of levels: 4 or 5.
func (t *Tables) Levels() int { return t.levels }

// Root returns the physical address of the top-level table.
func (t *Tables) Root() vmem.PhysAddr { return t.root }

// Canonical reports whether va is an address that the tables can translate: the bits above
// the 48 of 4 levels, or the 57 of 5, must all equal the highest of those.
func (t *Tables) Canonical(va vmem.VirtAddr) bool {
	unused := 64 - span(t.levels) - indexBits
	return vmem.VirtAddr(int64(va)<<unused>>unused) == va
}
