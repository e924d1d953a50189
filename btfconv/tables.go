package btfconv

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/nodelens/nodelens/vmem"
)

// findTables locates kallsyms, or what is left of it. It fails only where that leaves it open where the kernel
// is.
func (s *search) findTables(ctx context.Context) error {
	s.tableErr = s.locateTables(ctx)
	if s.table == nil && s.remains == nil && s.image.text == 0 && !s.exportsByBanner(ctx) {
		return s.missing(ctx, PartKallsyms, s.tableErr)
	}
	return ctx.Err()
}

func (s *search) locateTables(ctx context.Context) error {
	err := s.tablesFromNotes()
	if err == nil {
		return nil
	}
	if s.remains = s.remainsFromNotes(); s.remains != nil {
		return err
	}
	within := everything
	if s.image.text != 0 {
		within = vmem.Range[vmem.PhysAddr]{Start: s.image.phys, Size: kernelImageMax}
	}
	if ctxErr := findKallsyms(ctx, s.mem, within, s.tryPlace); ctxErr != nil {
		return ctxErr
	}
	if s.table == nil {
		s.remains = s.remainsByShape(ctx)
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
	if n > maxSymbols || high-low > maxTables {
		return fmt.Errorf("kallsyms_num_syms is %d: %w", n, ErrDamaged)
	}
	low = low&^7 - 8 // kallsyms_num_syms may be right before kallsyms_names, and is looked for in two places
	// After the last address come at most its own table and the order of names.
	window := s.image.window(low, int(high-low+7*n+4096))
	t, err := locateKallsyms(window, low, int(names-low))
	if err != nil {
		return captured(err, window, int(high-low))
	}
	pa, _ := s.image.physical(low)
	s.setTable(kallsymsPlace{window: window, phys: pa, names: t.names}, t, "VMCOREINFO")
	return nil
}

// maxTables is more than all tables of kallsyms have together, in bytes.
const maxTables = 64 << 20

// exportReach is how far after kallsyms the export tables may be.
const exportReach = 32 << 20

// readOnly returns where the rest of the kernel's read-only data is: after kallsyms, for so
// many bytes, or in all of the image where there is no kallsyms.
func (s *search) readOnly(reach uint64) vmem.Range[vmem.PhysAddr] {
	switch {
	case s.table != nil:
		return vmem.Range[vmem.PhysAddr]{Start: s.place.phys + vmem.PhysAddr(s.table.tokens.end), Size: reach}
	case s.remains != nil:
		return vmem.Range[vmem.PhysAddr]{Start: s.remains.phys + vmem.PhysAddr(s.remains.index+512), Size: reach}
	case s.exports != nil:
		return vmem.Range[vmem.PhysAddr]{Start: s.report.Exports.Addr, Size: reach}
	}
	return vmem.Range[vmem.PhysAddr]{Start: s.image.phys, Size: kernelImageMax}
}

// readExports reads the export tables, entry by entry where they are not whole. Addresses are physical.
func (s *search) readExports() []kernelSymbol {
	if s.exports != nil {
		return s.exports
	}
	exports := s.findExports()
	if s.report.ExportsErr == nil {
		return exports
	}
	sound, table, lost := findDamagedExports(s.mem, s.readOnly(exportReach))
	if len(sound) < minExports {
		return nil
	}
	s.report.Exports, s.report.ExportsErr = table, nil
	s.symbolsLost = append(s.symbolsLost, lost...)
	return sound
}

// findExports looks for the export tables after kallsyms. Addresses are physical.
// Report.ExportsErr says what is wrong with them.
func (s *search) findExports() []kernelSymbol {
	const step = 4 << 20
	within := s.readOnly(exportReach)
	for off := uint64(0); off < within.Size; off += step {
		start := (within.Start + vmem.PhysAddr(off)) &^ 7
		// Names follow at some distance; so the tables are read again from their start on.
		at, ok := searchExports(readUpTo(s.mem, start, 2*step))
		if !ok {
			continue
		}
		start += vmem.PhysAddr(at)
		window := readUpTo(s.mem, start, step)
		t := parseExports(window, uint64(start), 0)
		s.report.Exports = Table{Addr: start, Size: uint64(t.end), Count: len(t.symbols), FoundBy: "its shape"}
		s.report.ExportsErr = t.check(window)
		return t.symbols
	}
	s.report.ExportsErr = fmt.Errorf("__ksymtab: %w", ErrNotFound)
	return nil
}

// placed reports whether something other than kallsyms says that the kernel is where the search
// takes it to be.
func (s *search) placed() bool { return s.notes != nil || s.agree }

// addExports adds exported symbols, and compares them with kallsyms, which has
// all functions.
func (s *search) addExports(exports []kernelSymbol) error {
	for _, e := range exports {
		// An exported symbol is global. A static one may have the name of one that kallsyms lacks.
		if i, ok := s.symbols.search(e.name); ok && s.symbols.sorted[i].global() && s.symbols.sorted[i].addr != e.addr {
			return fmt.Errorf("%s is at %#x in kallsyms, at %#x in __ksymtab: %w", e.name, s.symbols.sorted[i].addr, e.addr, ErrDamaged)
		}
	}
	s.symbols.add(exports)
	s.agree = len(exports) >= minExports
	return nil
}

// placeImage finds out where the image is, without VMCOREINFO. In 7.2 the
// tables themselves tell; before, the export tables, whose addresses are relative
// to where they are, say where in memory each function is that kallsyms has the
// virtual address of.
func (s *search) placeImage(exports []kernelSymbol) error {
	text, ok := s.symbols.find("_stext")
	if !ok {
		return s.table.damaged("names", s.table.names, "no _stext")
	}
	if s.table.mode == pcRelative {
		s.image.text, s.unshifted = linkedText, true
		s.image.phys = s.place.phys + vmem.PhysAddr(text-s.table.addr)
		s.symbols.move(linkedText - text)
		return nil
	}
	delta, err := exportDelta(s.symbols, exports)
	if err != nil {
		return err
	}
	s.image.text, s.image.phys = text, vmem.PhysAddr(text-delta)
	return nil
}

// exportDelta returns the difference of virtual and physical addresses: the one
// that most of the exported functions have.
func exportDelta(symbols *symbolTable, exports []kernelSymbol) (uint64, error) {
	votes := map[uint64]int{}
	best := uint64(0)
	for i := range exports {
		if va, ok := symbols.find(exports[i].name); ok && va >= startKernelMap {
			d := va - exports[i].addr
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

// captured adds to an error about the contents of a window that the cause may be
// that not all of it was captured.
func captured(err error, window []byte, want int) error {
	if err == nil || len(window) >= want {
		return err
	}
	return fmt.Errorf("%w, and only %d bytes were captured: %w", err, len(window), vmem.ErrNotCaptured)
}
