package dwarfconv

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nodelens/nodelens/isf"
)

// Options steer a conversion. The zero value, and nil, mean the defaults.
type Options struct {
	// Name is the base name of the file, for the result's metadata.
	Name string
	// SystemMap adds the symbols of a System.map, and overrides the addresses
	// of those that the file has elsewhere. Nil: there is none.
	SystemMap io.Reader
	// SystemMapName is its base name, for the metadata.
	SystemMapName string
	// Hash puts the SHA-256 of the file into the metadata.
	Hash bool
	// TempDir is where a compressed file is unpacked, which takes as much room
	// as the file has unpacked. Empty: the default directory of the system. The
	// file is gone when Convert returns.
	TempDir string
	// Workers is how many units are read at a time. 0: as many as there are
	// CPUs to run on.
	Workers int
	// Progress is told how many bytes of how many are done, with the stage:
	// "unpack" or "units". The total of the former is that of the packed file.
	// Calls do not overlap. Nil: nobody is told.
	Progress func(stage string, done, total int64)
	// Warn is told what was lost: a *UnitError for each unit skipped, in the
	// order of the file, before Convert returns. Nil: nobody is told.
	Warn func(error)
}

// A conversion is one run of Convert.
type conversion struct {
	ctx  context.Context
	opts Options
	elf  *elf.File
	size int64
	syms []symbol

	mu       sync.Mutex // guards what follows
	done     int64
	reported int64
	damage   []*UnitError
	lost     int // units whose damage is not kept
}

// contents converts the ELF file r of size bytes.
func contents(ctx context.Context, r io.ReaderAt, size int64, opts *Options) (*isf.Contents, error) {
	c := &conversion{ctx: ctx, size: size}
	if opts != nil {
		c.opts = *opts
	}
	var err error
	if c.elf, err = openELF(r, size); err != nil {
		return nil, err
	}
	debug, err := openDebug(c.elf, size)
	if err != nil {
		return nil, err
	}
	if debug.info == nil {
		return nil, ErrNoDWARF
	}
	if c.syms, err = readSymtab(c.elf, size); err != nil {
		return nil, err
	}
	if len(c.syms) > 0 && !isKernel(c.elf, c.syms) {
		return nil, ErrNotKernel
	}
	h, err := c.harvest(debug)
	if err != nil {
		return nil, err
	}
	return c.contents(h)
}

// A job is a unit to read.
type job struct {
	section *infoSection
	index   int
}

// harvest reads all units.
func (c *conversion) harvest(debug *debugFile) (*harvest, error) {
	for _, s := range []*infoSection{debug.info, debug.types} {
		if s != nil {
			c.note(s.enumerate(debug))
		}
	}
	seed := maphash.MakeSeed()
	collectors := make([]*collector, c.workers())
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range collectors {
		collectors[i] = newCollector(debug, seed)
		collectors[i].wantFunctions = len(c.syms) == 0
		wg.Go(func() { c.work(collectors[i], debug, &next) })
	}
	wg.Wait()
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	c.warn()
	return merge(collectors), nil
}

func (c *conversion) workers() int {
	if c.opts.Workers > 0 {
		return c.opts.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// work reads units until there are no more.
func (c *conversion) work(w *collector, debug *debugFile, next *atomic.Int64) {
	for c.ctx.Err() == nil {
		i := int(next.Add(1)) - 1
		s := debug.info
		if i >= len(s.starts) {
			i -= len(s.starts)
			s = debug.types
		}
		if s == nil || i >= len(s.starts) {
			return
		}
		if err := w.collect(s, s.starts[i]); err != nil {
			c.note(&UnitError{Section: s.name, Unit: s.starts[i], Err: err})
		}
		c.progress(int64(w.unit.size), int64(debug.info.size))
	}
}

// progressStep is after how many bytes progress is told.
const progressStep = 4 << 20

func (c *conversion) progress(n, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += n
	if c.opts.Progress != nil && (c.done-c.reported >= progressStep || c.done == total) {
		c.reported = c.done
		c.opts.Progress("units", c.done, total)
	}
}

// maxDamage is how many damaged units are kept; of others only the number is.
const maxDamage = 1 << 16

// note keeps err, which is nil or a *UnitError.
func (c *conversion) note(err error) {
	e, ok := errors.AsType[*UnitError](err)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.damage) < maxDamage {
		c.damage = append(c.damage, e)
	} else {
		c.lost++
	}
}

// warn tells what was lost, in the order of the file.
func (c *conversion) warn() {
	if c.opts.Warn == nil {
		return
	}
	slices.SortFunc(c.damage, func(a, b *UnitError) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Unit, b.Unit))
	})
	for _, e := range c.damage {
		c.opts.Warn(e)
	}
	if c.lost > 0 {
		c.opts.Warn(fmt.Errorf("dwarfconv: %d more units skipped", c.lost))
	}
}

// contents puts the result together.
func (c *conversion) contents(h *harvest) (*isf.Contents, error) {
	syms, err := c.symbols(h)
	if err != nil {
		return nil, err
	}
	return &isf.Contents{Metadata: c.metadata(), Bases: h.bases, Types: h.types, Enums: h.enums, Symbols: syms}, nil
}

// producerVersion is the version of this converter.
const producerVersion = "0.1.0"

func (c *conversion) metadata() isf.Metadata {
	dwarf := isf.Source{Kind: "dwarf", Name: c.opts.Name}
	m := isf.Metadata{
		Format:   "6.2.0",
		Producer: isf.Producer{Name: "nodelens", Version: producerVersion},
		Symbols:  []isf.Source{dwarf},
		Types:    []isf.Source{dwarf},
	}
	if len(c.syms) > 0 {
		m.Symbols = append(m.Symbols, isf.Source{Kind: "symtab", Name: c.opts.Name})
	}
	if c.opts.SystemMap != nil {
		m.Symbols = append(m.Symbols, isf.Source{Kind: "system-map", Name: c.opts.SystemMapName})
	}
	return m
}
