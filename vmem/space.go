package vmem

import (
	"fmt"
	"math/bits"
)

// SpaceOptions describe what the page tables of an [AddressSpace] mean. A nil
// pointer means the zero value.
type SpaceOptions struct {
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
	SwapTypes SwapTypes
}

// An AddressSpace is virtual memory as one set of page tables defines it: that of
// the kernel or of one process. Its tables are read through a Physical that it can
// share with others; a small cache of its own keeps translations.
//
// Under page table isolation a process has two sets of tables. The one to use is
// mm->pgd, that of the kernel, which maps both halves; the user's has bit 12 of
// its address set and maps hardly any of the kernel.
//
// An AddressSpace is safe for concurrent use; hits in its caches take no lock.
type AddressSpace struct {
	phys       *Physical
	root       PhysAddr
	levels     int
	encryption entry // of addressBits, those that are not part of the address
	reserved   entry // of the other addressBits, those that must be zero
	swapTypes  SwapTypes
	tlb        tlb
}

// NewAddressSpace returns the address space whose top-level table is at root, which
// is what CR3 or mm->pgd leads to: a multiple of 4096, so the PCID bits of a CR3
// must be cleared. The encryption bit may be set. The error is a *Fault if nothing
// of the top-level table can be read.
func NewAddressSpace(p *Physical, root PhysAddr, opts *SpaceOptions) (*AddressSpace, error) {
	var o SpaceOptions
	if opts != nil {
		o = *opts
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	as := &AddressSpace{
		phys:       p,
		levels:     o.Levels,
		encryption: entry(o.EncryptionMask),
		reserved:   addressBits &^ (1<<o.PhysBits - 1) &^ entry(o.EncryptionMask),
		swapTypes:  o.SwapTypes,
	}
	as.root = root &^ PhysAddr(o.EncryptionMask)
	if as.root%PageSize != 0 {
		return nil, fmt.Errorf("vmem: page-table root %v is not page aligned", root)
	}
	if err := as.checkRoot(); err != nil {
		return nil, &Fault{Phys: as.root, Err: err}
	}
	return as, nil
}

// complete puts the defaults in and checks the rest.
func (o *SpaceOptions) complete() error {
	if o.Levels == 0 {
		o.Levels = 4
	}
	if o.PhysBits == 0 {
		o.PhysBits = 52
	}
	switch {
	case o.Levels != 4 && o.Levels != 5:
		return fmt.Errorf("vmem: page tables of %d levels: only 4 and 5 exist", o.Levels)
	case o.PhysBits < 32 || o.PhysBits > 52:
		return fmt.Errorf("vmem: physical addresses of %d bits: only 32 to 52 exist", o.PhysBits)
	case bits.OnesCount64(o.EncryptionMask) > 1 || o.EncryptionMask != 0 && o.EncryptionMask&(1<<52-1<<32) == 0:
		return fmt.Errorf("vmem: encryption mask %#x: not one of bits 32 to 51", o.EncryptionMask)
	case o.SwapTypes.special() > swapTypeCount:
		return fmt.Errorf("vmem: %d special swap types: only %d exist", o.SwapTypes.special(), swapTypeCount)
	}
	return nil
}

// checkRoot returns the reason for which nothing of the top-level table can be
// read.
func (as *AddressSpace) checkRoot() error {
	f, err := as.phys.frame(as.root)
	if err != nil {
		return err
	}
	if len(f.holes) > 0 && f.holes[0].Size == PageSize {
		return f.holes[0].err
	}
	return nil
}

// Levels returns the number of levels of the page tables: 4 or 5.
func (as *AddressSpace) Levels() int { return as.levels }

// Root returns the physical address of the top-level table.
func (as *AddressSpace) Root() PhysAddr { return as.root }

// Canonical reports whether va is an address that the page tables can translate:
// the bits above the 48 of 4 levels, or the 57 of 5, must all equal the highest of
// those.
func (as *AddressSpace) Canonical(va VirtAddr) bool {
	unused := 64 - pageShift(as.levels+1)
	return VirtAddr(int64(va)<<unused>>unused) == va
}
