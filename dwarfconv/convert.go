package dwarfconv

import (
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
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
	// Warn is told what was lost, before Convert returns: a *UnitError for each
	// unit skipped, in the order of the file, and a *LossError for what else was.
	// Nil: nobody is told.
	Warn func(error)
}

// Convert converts the vmlinux or module r of size bytes. It may be compressed as
// a whole, or be in a package of a distribution; see the package's documentation.
//
// An error says that nothing could be converted: it wraps one of the reasons
// above, or is that of r or ctx. Damage to a part of the file is no error, see
// Options.Warn.
func Convert(ctx context.Context, r io.ReaderAt, size int64, opts *Options) (*isf.File, error) {
	f, err := convert(ctx, r, size, opts)
	if err != nil {
		return nil, fmt.Errorf("dwarfconv: %w", err)
	}
	return f, nil
}

// ConvertFile converts the named file as Convert does. If Options.Name is empty,
// the file's base name takes its place.
func ConvertFile(ctx context.Context, name string, opts *Options) (*isf.File, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("dwarfconv: %w", err)
	case !info.Mode().IsRegular(): // to open a pipe may wait for ever
		return nil, fmt.Errorf("dwarfconv: %s: not a regular file: %w", name, ErrFormat)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("dwarfconv: %w", err)
	}
	defer f.Close()
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Name = cmp.Or(o.Name, filepath.Base(name))
	file, err := convert(ctx, f, info.Size(), &o)
	if err != nil {
		return nil, fmt.Errorf("dwarfconv: %s: %w", name, err)
	}
	return file, nil
}

// A conversion is one run of Convert.
type conversion struct {
	ctx  context.Context //nolint:containedctx // lives as long as the call that it comes with
	opts Options
	told teller
	elf  *elf.File
	size int64 // of the ELF file
	syms []symbol
	hash string // of the file as given

	done   atomic.Int64 // bytes of units
	whole  atomic.Int64 // units read
	damage damage
}

func convert(ctx context.Context, r io.ReaderAt, size int64, opts *Options) (*isf.File, error) {
	c := &conversion{ctx: ctx}
	if opts != nil {
		c.opts = *opts
	}
	c.told.tellFunc = c.opts.Progress
	wait := c.startHash(r, size)
	contents, err := c.run(r, size)
	c.damage.tell(c.opts.Warn)
	hash, hashErr := wait()
	if err := cmp.Or(err, hashErr); err != nil {
		return nil, err
	}
	c.hash = hash
	contents.Metadata = c.metadata()
	return isf.New(*contents)
}

// run converts all but the metadata.
func (c *conversion) run(r io.ReaderAt, size int64) (*isf.Contents, error) {
	in, err := c.openInput(r, size)
	if err != nil {
		return nil, err
	}
	defer in.close()
	c.size = in.size
	if c.elf, err = openELF(in, in.size); err != nil {
		return nil, err
	}
	debug, err := openDebug(c.elf, in.size, &c.damage)
	if err != nil {
		return nil, err
	}
	if debug.info == nil {
		return nil, c.noDWARF()
	}
	c.readSymtab()
	if len(c.syms) > 0 && !isKernel(c.elf, c.syms) {
		return nil, ErrNotKernel
	}
	h, err := c.harvest(debug)
	if err != nil {
		return nil, err
	}
	syms, err := c.symbols(h)
	if err != nil {
		return nil, err
	}
	if err := c.reduced(h, syms); err != nil {
		return nil, err
	}
	return &isf.Contents{Bases: h.bases, Types: h.types, Enums: h.enums, Symbols: syms}, nil
}

// reduced returns ErrReduced if the file is a kernel, which has init_task or at least a
// banner, and does not say what a task is. If units were damaged, that may be the reason, and
// it is a loss.
func (c *conversion) reduced(h *harvest, syms []isf.Symbol) error {
	has := func(name string) bool {
		_, ok := slices.BinarySearchFunc(syms, name, func(s isf.Symbol, name string) int { return cmp.Compare(s.Name, name) })
		return ok
	}
	kernel := has("init_task") || len(h.types) == 0 && has(bannerName)
	if !kernel || slices.ContainsFunc(h.types, func(u isf.UserType) bool { return u.Name == "task_struct" }) {
		return nil
	}
	if c.damage.first() == nil {
		return ErrReduced
	}
	c.damage.loss("struct task_struct", ErrReduced)
	return nil
}

// startHash hashes the file if that is asked for, in the background. The function
// that it returns waits for the result.
func (c *conversion) startHash(r io.ReaderAt, size int64) (wait func() (string, error)) {
	if !c.opts.Hash {
		return func() (string, error) { return "", nil }
	}
	sum, err := sha256.New(), error(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<18)
		for off := int64(0); off < size && err == nil; off += int64(len(b)) {
			b = b[:min(int64(len(b)), size-off)]
			if _, err = r.ReadAt(b, off); errors.Is(err, io.EOF) && off+int64(len(b)) == size {
				err = nil
			}
			err = cmp.Or(err, c.ctx.Err())
			sum.Write(b)
		}
	}()
	return func() (string, error) {
		<-done
		return hex.EncodeToString(sum.Sum(nil)), err
	}
}

// harvest reads all units, and joins what is in them.
func (c *conversion) harvest(debug *debugFile) (*harvest, error) {
	collectors, err := c.collect(debug)
	if err != nil {
		return nil, err
	}
	return merge(collectors, &c.damage), nil
}

// collect reads all units.
func (c *conversion) collect(debug *debugFile) ([]*collector, error) {
	for _, s := range []*infoSection{debug.info, debug.types} {
		if s != nil {
			s.enumerate(debug, c.damage.unit)
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
	if e := c.damage.first(); e != nil && c.whole.Load() == 0 {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, e.Err)
	}
	return collectors, nil
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
			c.damage.unit(&UnitError{Section: s.name, Unit: s.starts[i], Err: err})
		} else {
			c.whole.Add(1)
		}
		c.told.tell("units", c.done.Add(int64(w.unit.size)), int64(debug.info.size))
	}
}

// producerVersion is the version of this converter.
const producerVersion = "0.1.0"

func (c *conversion) metadata() isf.Metadata {
	dwarf := isf.Source{Kind: "dwarf", Name: c.opts.Name}
	if c.hash != "" {
		dwarf.HashType, dwarf.HashValue = "sha256", c.hash
	}
	m := isf.Metadata{
		Producer: isf.Producer{Name: "nodelens", Version: producerVersion},
		Symbols:  []isf.Source{dwarf},
		Types:    []isf.Source{dwarf},
	}
	if len(c.syms) > 0 {
		symtab := dwarf
		symtab.Kind = "symtab"
		m.Symbols = append(m.Symbols, symtab)
	}
	if c.opts.SystemMap != nil {
		m.Symbols = append(m.Symbols, isf.Source{Kind: "system-map", Name: c.opts.SystemMapName})
	}
	return m
}
