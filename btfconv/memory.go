package btfconv

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// MemoryOptions are the settings of FromMemory. A nil pointer means the zero value.
type MemoryOptions struct {
	// Progress is called between the stages, from the goroutine of FromMemory. done
	// and total count stages. nil: no reports.
	Progress func(stage string, done, total int64)
}

// FromMemory makes the symbol database of the kernel that an image is of, from
// nothing but the image: types from BTF, symbols from kallsyms and the export
// tables, and what these lack from the kernel's own pointers.
//
// Damage in one place costs that place, and [isf.File.Lost] lists it. Even where all
// types or all of kallsyms are lost the database has the rest, as long as it is known
// where the kernel is: [Report.TypesErr], [Report.KallsymsErr] and [Report.InitTaskErr]
// say so, and whoever needs them must look.
//
// The report says what was found and how, and is not nil even with an error. An
// error is a *MissingError, which names the kernel as far as it is known, or that
// of ctx.
//
// Besides the kernel's own pages, the first bytes of each page are read until
// VMCOREINFO is found; and where there is none, some of every 32 KiB until kallsyms
// is found.
func FromMemory(ctx context.Context, mem vmem.Memory, opts *MemoryOptions) (*isf.File, *Report, error) {
	var o MemoryOptions
	if opts != nil {
		o = *opts
	}
	best := result{report: &Report{}}
	for n := range notesIn(ctx, mem) {
		// VMCOREINFO of a kernel that is not there, such as a copy in a file, says nothing.
		s := newSearch(mem, n, o)
		if !s.inPlace() {
			continue
		}
		r := s.result(ctx)
		if r.whole() || ctx.Err() != nil {
			return r.file, r.report, r.err
		}
		best = best.or(r)
	}
	if err := ctx.Err(); err != nil {
		return nil, best.report, err
	}
	// One that is wrong in what it says must not stand in the way.
	best = best.or(newSearch(mem, nil, o).result(ctx))
	return best.file, best.report, best.err
}

// A result is what a search returns.
type result struct {
	file   *isf.File
	report *Report
	err    error
}

func (s *search) result(ctx context.Context) (r result) {
	r.file, r.report, r.err = s.run(ctx)
	return r
}

// whole reports whether no part is missing.
func (r *result) whole() bool { return r.worth() == worthWhole }

const worthWhole = 8

// worth says how much a result has, to compare it with others of the same image: a kernel
// whose first task is where it should be before one that has all tables.
func (r *result) worth() int {
	if r.file == nil {
		return 0
	}
	worth := 1
	for weight, err := range map[int]error{4: r.report.InitTaskErr, 2: r.report.TypesErr, 1: r.report.KallsymsErr} {
		if err == nil {
			worth += weight
		}
	}
	return worth
}

// or returns the better of two results, r if both are as good.
func (r *result) or(other result) result {
	if r.worth() < other.worth() || r.err == nil && r.file == nil || ctxEnded(other.err) {
		return other
	}
	return *r
}

func ctxEnded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// A search is one attempt to make a database of one kernel.
type search struct {
	mem     vmem.Memory
	notes   *vmcoreinfo.Info // nil: none
	options MemoryOptions
	image   kernelImage
	place   kallsymsPlace
	table   *kallsymsTable // nil: none that is whole
	remains *remains       // what is left of one that is not
	btf     *btfTypes      // without any records where there are none
	layouts *layouts
	types   isf.Contents
	vars    map[string]*isf.Type
	symbols *symbolTable
	agree   bool // kallsyms and the export tables say the same
	report  *Report
	lost    []error // besides the types

	tableErr    error          // why there is no table
	exports     []kernelSymbol // with physical addresses, where they were found before anything else
	unshifted   bool           // whether the addresses are as linked, since those of the running kernel are not known
	symbolsLost []error        // of kallsyms and the export tables
}

func newSearch(mem vmem.Memory, notes *vmcoreinfo.Info, o MemoryOptions) *search {
	s := &search{mem: mem, notes: notes, options: o, image: kernelImage{mem: mem}, report: &Report{FoundBy: "the shape of kallsyms"}}
	s.btf, s.symbols = &btfTypes{first: 1}, &symbolTable{}
	s.layouts = newLayouts(s.btf)
	if notes != nil {
		s.readNotes()
	}
	return s
}

// run takes all steps. Types and symbols are decoded at the same time.
func (s *search) run(ctx context.Context) (*isf.File, *Report, error) {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"finding kallsyms", s.findTables},
		{"decoding types and symbols", s.decode},
		{"finding symbols that no table has", s.findRest},
	}
	for i, step := range steps {
		if s.options.Progress != nil {
			s.options.Progress(step.name, int64(i), int64(len(steps)))
		}
		if err := step.do(ctx); err != nil {
			return nil, s.report, err
		}
	}
	f, err := s.build()
	return f, s.report, err
}

// missing turns an error about a part into a *MissingError, which it is if it is not that of
// ctx.
func (s *search) missing(ctx context.Context, part Part, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	s.identify(ctx)
	return &MissingError{Part: part, Release: s.report.Release, BuildID: s.report.BuildID, Err: err}
}

// decode decodes types and symbols. It fails only where they don't tell where the kernel is.
func (s *search) decode(ctx context.Context) error {
	var wait sync.WaitGroup
	var typesErr, symbolsErr error
	within := s.readOnly(btfReach) // before decoding symbols moves the image
	wait.Go(func() { typesErr = s.decodeTypes(ctx, within) })
	wait.Go(func() { symbolsErr = s.decodeSymbols() })
	wait.Wait()
	if typesErr != nil && !s.btf.recovered {
		s.types, s.vars = isf.Contents{}, nil
	}
	if s.image.text == 0 && s.exports != nil {
		s.placeByInitTask()
	}
	s.report.KallsymsErr = s.missing(ctx, PartKallsyms, symbolsErr)
	s.report.TypesErr = s.missing(ctx, PartBTF, typesErr)
	if s.image.text == 0 {
		return s.report.KallsymsErr
	}
	return ctx.Err()
}

// decodeSymbols reads kallsyms and the export tables, and checks one against the
// other. Without VMCOREINFO, that tells where the image is. Where kallsyms is not whole, what is left of it is used, if
// that is anything.
func (s *search) decodeSymbols() error {
	exports := s.readExports()
	place := s.image
	err := s.wholeKallsyms(exports)
	if err == nil {
		return nil
	}
	s.image, s.unshifted, s.agree = place, false, false
	if err = s.salvage(exports, err); err == nil || s.image.text == 0 {
		return err
	}
	s.symbols, s.report.Kallsyms.Count = &symbolTable{}, 0
	s.symbols.add(shifted(exports, s.image.text-uint64(s.image.phys)))
	return err
}

// wholeKallsyms reads kallsyms if nothing is wrong with it, and adds the exported symbols.
func (s *search) wholeKallsyms(exports []kernelSymbol) error {
	if s.table == nil {
		return s.tableErr
	}
	symbols, byName, err := s.table.decode()
	if err != nil {
		return err
	}
	s.symbols = newSymbolTable(symbols, byName)
	s.report.Kallsyms.Count = len(symbols)
	if s.image.text == 0 {
		if err := s.placeImage(exports); err != nil {
			return err
		}
	} else if text, ok := s.symbols.find("_stext"); !ok || text != s.image.text {
		return fmt.Errorf("_stext is at %#x, not at %#x as VMCOREINFO has it: %w", text, s.image.text, ErrDamaged)
	}
	return s.addExports(shifted(exports, s.image.text-uint64(s.image.phys)))
}
