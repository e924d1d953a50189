package btfconv

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/nodelens/nodelens/vmem"
)

// findTables locates kallsyms.
func (s *search) findTables(ctx context.Context) error {
	err := s.tablesFromNotes()
	if err == nil {
		return nil
	}
	within := everything
	if s.image.text != 0 {
		within = vmem.Range[vmem.PhysAddr]{Start: s.image.phys, Size: kernelImageMax}
	}
	if ctxErr := findKallsyms(ctx, s.mem, within, s.tryPlace); ctxErr != nil {
		return ctxErr
	}
	if s.table == nil {
		return err
	}
	return nil
}

// tryPlace locates kallsyms at one place.
func (s *search) tryPlace(p kallsymsPlace) bool {
	t, err := locateKallsyms(p.window, s.windowAddr(p.phys), p.names)
	if err != nil {
		return false
	}
	s.setTable(p, t, "its shape")
	return true
}

// windowAddr returns the virtual address of a physical one. Where it is not known,
// it is one in the middle of those that a kernel may have; placeImage corrects it.
func (s *search) windowAddr(pa vmem.PhysAddr) uint64 {
	if s.image.text == 0 {
		return startKernelMap + kernelImageMax/2
	}
	return s.image.text + uint64(pa-s.image.phys)
}

func (s *search) setTable(p kallsymsPlace, t *kallsymsTable, by string) {
	s.place, s.table = p, t
	s.report.Kallsyms = Table{Addr: p.phys + vmem.PhysAddr(t.names), Size: uint64(t.tokens.end - t.names), FoundBy: by}
}

// tablesFromNotes locates kallsyms by the addresses that VMCOREINFO has since 6.0.
func (s *search) tablesFromNotes() error {
	if s.notes == nil {
		return fmt.Errorf("no VMCOREINFO, and nothing that looks like kallsyms: %w", ErrNotFound)
	}
	low, high := uint64(math.MaxUint64), uint64(0)
	for _, name := range []string{"kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table", "kallsyms_token_index", "kallsyms_offsets"} {
		va, err := s.notes.Symbol(name)
		if err != nil {
			return fmt.Errorf("not in VMCOREINFO, and nothing in the kernel's image looks like it: %w", ErrNotFound)
		}
		low, high = min(low, va), max(high, va)
	}
	names, _ := s.notes.Symbol("kallsyms_names")
	count, _ := s.notes.Symbol("kallsyms_num_syms")
	b, err := s.image.read(count, 4)
	if err != nil {
		return err
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if n > maxSymbols || high-low > kernelImageMax/4 {
		return fmt.Errorf("kallsyms_num_syms is %d: %w", n, ErrDamaged)
	}
	low &^= 7
	// After the last address come at most its own table and the order of names.
	window := s.image.window(low, int(high-low+7*n+4096))
	t, err := locateKallsyms(window, low, int(names-low))
	if err != nil {
		return err
	}
	pa, _ := s.image.physical(low)
	s.setTable(kallsymsPlace{window: window, phys: pa, names: t.names}, t, "VMCOREINFO")
	return nil
}

// exportReach is how far after kallsyms the export tables may be.
const exportReach = 32 << 20

// findExports looks for the export tables after kallsyms; va and pa are one
// address of the image. They are missing where none are found.
func (s *search) findExports(va uint64, pa vmem.PhysAddr) exportTable {
	const step = 4 << 20
	from := s.place.phys + vmem.PhysAddr(s.table.tokens.end)
	for off := vmem.PhysAddr(0); off < exportReach; off += step {
		start := (from + off) &^ 7
		// Names follow at some distance; so the tables are read again from their start on.
		window := readUpTo(s.mem, start, 2*step)
		at, ok := searchExports(window)
		if !ok {
			continue
		}
		start += vmem.PhysAddr(at)
		t := parseExports(readUpTo(s.mem, start, step), va+uint64(start-pa), 0)
		s.report.Exports = Table{Addr: start, Size: uint64(t.end), Count: len(t.symbols), FoundBy: "its shape"}
		return t
	}
	return exportTable{}
}

// checkExports compares the export tables with kallsyms, which has all functions.
func (s *search) checkExports() error {
	same, other := 0, 0
	for i := range s.exports.symbols {
		e := &s.exports.symbols[i]
		va, ok := s.symbols.find(e.name)
		switch {
		case ok && va == e.addr:
			same++
		case ok:
			other++
		}
	}
	// A static symbol may have the name of an exported one.
	if other > same/100 {
		return fmt.Errorf("%d of %d exported symbols have other addresses in kallsyms: %w", other, same+other, ErrDamaged)
	}
	s.symbols.add(s.exports.symbols)
	return nil
}

// placeImage finds out where the image is, without VMCOREINFO. From 7.0 on the
// tables themselves tell; before, the export tables, whose addresses are relative
// to where they are, say where in memory each function is that kallsyms has the
// virtual address of.
func (s *search) placeImage() error {
	text, ok := s.symbols.find("_stext")
	if !ok {
		return s.table.damaged("names", s.table.names, "no _stext")
	}
	if s.table.mode == pcRelative {
		s.image.text = linkedText
		s.image.phys = s.place.phys + vmem.PhysAddr(text-s.table.addr)
		s.symbols.move(linkedText - text)
		s.exports = s.findExports(s.image.text, s.image.phys)
		return s.checkExports()
	}
	s.exports = s.findExports(0, 0)
	delta, err := s.exportDelta()
	if err != nil {
		return err
	}
	s.image = kernelImage{mem: s.mem, text: text, phys: vmem.PhysAddr(text - delta), shift: text - linkedText}
	for i := range s.exports.symbols {
		s.exports.symbols[i].addr += delta
	}
	return s.checkExports()
}

// exportDelta returns the difference of virtual and physical addresses: the one
// that most of the exported functions have.
func (s *search) exportDelta() (uint64, error) {
	votes := map[uint64]int{}
	best := uint64(0)
	for i := range s.exports.symbols {
		e := &s.exports.symbols[i]
		if va, ok := s.symbols.find(e.name); ok && va >= startKernelMap {
			d := va - e.addr
			votes[d]++
			if votes[d] > votes[best] {
				best = d
			}
		}
	}
	if votes[best] < minExports {
		return 0, fmt.Errorf("no export table that says where in memory the symbols are: %w", ErrNotFound)
	}
	return best, nil
}

// everything is all of physical memory.
var everything = vmem.Range[vmem.PhysAddr]{Size: math.MaxInt64}
