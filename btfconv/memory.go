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
// The report says what was found and how, and is not nil even with an error. An
// error is a *MissingError, which names the kernel as far as it is known, or that
// of ctx. Damage in one place of BTF costs that place, and [isf.File.Lost] lists it;
// BTF of which less than half is left is an error, and so is kallsyms that is damaged.
//
// Besides the kernel's own pages, the first bytes of each page are read until
// VMCOREINFO is found; and where there is none, some of every 32 KiB until kallsyms
// is found.
func FromMemory(ctx context.Context, mem vmem.Memory, opts *MemoryOptions) (*isf.File, *Report, error) {
	var o MemoryOptions
	if opts != nil {
		o = *opts
	}
	tried := result{report: &Report{}}
	for n := range notesIn(ctx, mem) {
		// VMCOREINFO of a kernel that is not there, such as a copy in a file, says nothing.
		s := newSearch(mem, n, o)
		if !s.inPlace() {
			continue
		}
		r := s.result(ctx)
		if r.err == nil || ctx.Err() != nil {
			return r.file, r.report, r.err
		}
		if tried.err == nil {
			tried = r
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, tried.report, err
	}
	// One that is wrong in what it says must not stand in the way.
	r := newSearch(mem, nil, o).result(ctx)
	if r.err != nil && tried.err != nil {
		r = tried
	}
	return r.file, r.report, r.err
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

// A search is one attempt to make a database of one kernel.
type search struct {
	mem     vmem.Memory
	notes   *vmcoreinfo.Info // nil: none
	options MemoryOptions
	image   kernelImage
	place   kallsymsPlace
	table   *kallsymsTable
	btf     *btfTypes
	layouts *layouts
	types   isf.Contents
	vars    map[string]*isf.Type
	symbols *symbolTable
	report  *Report
	lost    []error // besides the types
}

func newSearch(mem vmem.Memory, notes *vmcoreinfo.Info, o MemoryOptions) *search {
	s := &search{mem: mem, notes: notes, options: o, image: kernelImage{mem: mem}, report: &Report{FoundBy: "the shape of kallsyms"}}
	if notes != nil {
		s.readNotes()
	}
	return s
}

// run takes all steps. Types and symbols are decoded at the same time.
func (s *search) run(ctx context.Context) (*isf.File, *Report, error) {
	steps := []struct {
		name string
		part Part
		do   func(context.Context) error
	}{
		{"finding kallsyms", PartKallsyms, s.findTables},
		{"decoding types and symbols", "", s.decode},
		{"finding symbols that no table has", PartInitTask, s.findRest},
	}
	for i, step := range steps {
		if s.options.Progress != nil {
			s.options.Progress(step.name, int64(i), int64(len(steps)))
		}
		if err := step.do(ctx); err != nil {
			return nil, s.report, s.failure(ctx, step.part, err)
		}
	}
	f, err := s.build()
	return f, s.report, err
}

// failure turns an error of a step into that of FromMemory.
func (s *search) failure(ctx context.Context, part Part, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*MissingError](err); ok {
		return err
	}
	s.identify(ctx)
	return &MissingError{Part: part, Release: s.report.Release, BuildID: s.report.BuildID, Err: err}
}

// decode decodes types and symbols.
func (s *search) decode(ctx context.Context) error {
	var wait sync.WaitGroup
	var typesErr, symbolsErr error
	wait.Go(func() { typesErr = s.decodeTypes(ctx) })
	wait.Go(func() { symbolsErr = s.decodeSymbols() })
	wait.Wait()
	if symbolsErr != nil {
		return s.failure(ctx, PartKallsyms, symbolsErr)
	}
	if typesErr != nil {
		return s.failure(ctx, PartBTF, typesErr)
	}
	return nil
}

// decodeSymbols reads kallsyms and the export tables, and checks one against the
// other. Without VMCOREINFO, that tells where the image is.
func (s *search) decodeSymbols() error {
	symbols, byName, err := s.table.decode()
	if err != nil {
		return err
	}
	s.symbols = newSymbolTable(symbols, byName)
	s.report.Kallsyms.Count = len(symbols)
	if s.image.text == 0 {
		return s.placeImage()
	}
	if text, ok := s.symbols.find("_stext"); !ok || text != s.image.text {
		return fmt.Errorf("_stext is at %#x, not at %#x as VMCOREINFO has it: %w", text, s.image.text, ErrDamaged)
	}
	return s.useExports(s.findExports(s.image.text, s.image.phys))
}
