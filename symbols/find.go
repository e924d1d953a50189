package symbols

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of Find. The zero value, and nil, ask the image alone.
type Options struct {
	// Given is a file that the caller insists on: one that does not fit is the error of
	// Find, and nothing else is asked. Empty: there is none.
	Given string

	// Store is where what was converted or fetched is kept, and looked for. Nil: nowhere.
	Store *Store

	// Paths are files, and directories of files as [Directory] has them, to be asked in
	// that order where the image does not give its own symbols.
	Paths []string

	// Layouts are those of known kernels, which are left to who opens the kernel: see
	// Symbols. Nil: those that the library carries.
	Layouts *layouts.Set

	// Fetch are the servers to ask where nothing else has the symbols. Nil: none, and
	// nothing leaves the machine.
	Fetch []Source

	// Converters read the files that are neither ISF nor BTF; the first that knows a
	// file has it. Nil: there are none.
	Converters []Converter

	// Accept says whether symbols fit, after [Kernel.Check] found nothing against them:
	// a caller can try to open the kernel with them. Its error is the reason to refuse
	// them. It is asked about the image's own symbols, too. Nil: that check is enough.
	Accept func(ctx context.Context, f *isf.File) error

	// TempDir is where to put temporary files of the size of a vmlinux. Empty: the
	// default directory of the system.
	TempDir string

	// Progress, if not nil, is called now and then with what is being done and how much
	// of how much is done, in units that depend on the stage. It must return soon.
	Progress func(stage string, done, total int64)
}

// A Found is what Find returns.
type Found struct {
	File *isf.File
	// From says where it is from, for the reader of a report: "the image: 95246 types of
	// BTF, ..." or what it was made of, as "vmlinux /usr/lib/debug/boot/vmlinux-6.1.0".
	From string
	// Tried is what was asked before, in that order.
	Tried []Attempt
	// KeepErr is why the symbols could not be put into the store; nil if they were, or
	// did not have to be.
	KeepErr error
}

// String returns From, what was refused before, and why the symbols were not kept.
func (f *Found) String() string {
	var b strings.Builder
	b.WriteString(f.From)
	sep := " (refused: "
	for _, a := range f.Tried {
		if !errors.Is(a.Err, ErrNothing) {
			b.WriteString(sep + a.String())
			sep = "; "
		}
	}
	if sep == "; " {
		b.WriteString(")")
	}
	if f.KeepErr != nil {
		b.WriteString(" (not kept for the next time: " + f.KeepErr.Error() + ")")
	}
	return b.String()
}

// An Attempt is something that was asked for symbols and had none that fit.
type Attempt struct {
	Source string // as Source.String has it
	Name   string // the path or the URL of what was refused; empty where there was nothing to refuse
	Err    error  // the reason; wraps ErrNothing where the source has nothing for the kernel
}

// String returns the attempt as one line.
func (a Attempt) String() string {
	why := a.Err.Error()
	if e, ok := errors.AsType[*btfconv.MissingError](a.Err); ok { // which also says what is told beside it
		why = fmt.Sprintf("no usable %s: %v", string(e.Part), e.Err)
	}
	if strings.HasSuffix(a.Source, a.Name) {
		return a.Source + ": " + why
	}
	return a.Source + ": " + a.Name + ": " + why
}

// The reasons for which a source is of no use, beside ErrMismatch.
var (
	// ErrNothing: a source has nothing for the kernel.
	ErrNothing = errors.New("nothing for this kernel")
	// ErrFormat: a file is in no form that is known here or to a converter.
	ErrFormat = errors.New("no symbols in a known form")
)

// A NotFoundError says that nothing has symbols that fit, and what was tried. It wraps
// the errors of all attempts.
type NotFoundError struct {
	Release string // as uname -r has it; empty where not known
	BuildID string // of vmlinux, in hexadecimal; empty where not known
	Tried   []Attempt
}

// Error names the kernel and what was tried.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	b.WriteString("no symbols for ")
	if e.Release == "" {
		b.WriteString("an unknown kernel")
	} else {
		b.WriteString("kernel " + e.Release)
	}
	if e.BuildID != "" {
		b.WriteString(" (build id " + e.BuildID + ")")
	}
	var nothing []string
	sep := ": "
	for _, a := range e.Tried {
		if a.Err == ErrNothing { //nolint:errorlint // one that says more is told as it is
			nothing = append(nothing, a.Source)
			continue
		}
		b.WriteString(sep + a.String())
		sep = "; "
	}
	if len(nothing) > 0 {
		b.WriteString(sep + "nothing in " + strings.Join(nothing, ", "))
	}
	return b.String()
}

// Unwrap returns the errors of the attempts.
func (e *NotFoundError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

// Find finds the symbols of the kernel that the image mem is of. See the package's
// documentation for where it looks, and what it takes.
//
// Where nothing fits the error is a *NotFoundError; with Options.Given it is what is
// wrong with that file. Else it is the error of ctx.
func Find(ctx context.Context, mem vmem.Memory, opts *Options) (*Found, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	s := &search{opts: o, kernel: Identify(mem, o.Progress)}
	found, err := s.run(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("symbols: %w", err)
	case found == nil:
		return nil, fmt.Errorf("symbols: %w", s.nothing(ctx))
	}
	found.Tried = s.tried
	return found, nil
}

// Symbols calls Find, and returns what [Found.String] does in place of the rest. With it
// Options are a source of symbols for package image, and for package cos. Where nothing has
// symbols that fit, but there is a layout of such a kernel, it returns nil: then linux.Open
// takes that for what the image lacks.
func (o *Options) Symbols(ctx context.Context, mem vmem.Memory) (f *isf.File, from string, err error) {
	found, err := Find(ctx, mem, o)
	if _, ok := errors.AsType[*NotFoundError](err); ok && o.hasLayout(ctx, Identify(mem, o.Progress)) {
		return nil, "", ctx.Err()
	}
	if err != nil {
		return nil, "", err
	}
	return found.File, found.String(), nil
}

// A search is one call of Find.
type search struct {
	opts   Options
	kernel *Kernel
	tried  []Attempt
}

// run returns nil where no source has symbols that fit.
func (s *search) run(ctx context.Context) (*Found, error) {
	if s.opts.Given != "" {
		return s.given(ctx)
	}
	own, err := s.image(ctx)
	if err != nil {
		return nil, err
	}
	if own != nil {
		return s.wholeOr(ctx, own)
	}
	unlock, found, err := s.stored(ctx)
	if found != nil || err != nil {
		return found, err
	}
	defer unlock()
	for _, path := range s.opts.Paths {
		if found, err := s.ask(ctx, Path(path)); found != nil || err != nil {
			return found, err
		}
	}
	for _, server := range s.opts.Fetch {
		if found, err := s.ask(ctx, server); found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// given takes the file that the caller insists on.
func (s *search) given(ctx context.Context) (*Found, error) {
	found, err := s.ask(ctx, File(s.opts.Given))
	if found == nil && err == nil {
		err = fmt.Errorf("%s: %w", s.tried[0].Name, s.tried[0].Err)
	}
	return found, err
}

// stored asks the store. Where it has nothing, it is locked for the kernel, so that of
// several programs one alone gets the symbols, and the others find them there.
func (s *search) stored(ctx context.Context) (unlock func(), found *Found, err error) {
	unlock = func() {}
	if s.opts.Store == nil {
		return unlock, nil, nil
	}
	if found, err = s.ask(ctx, s.opts.Store); found != nil || err != nil {
		return unlock, found, err
	}
	key, err := s.key(ctx)
	if err != nil || key == "" || len(s.opts.Paths)+len(s.opts.Fetch) == 0 {
		return unlock, nil, err
	}
	release, err := s.opts.Store.Lock(ctx, key)
	if err != nil { // a store that can't be written to does not keep from finding symbols elsewhere
		s.tried = append(s.tried, Attempt{Source: s.opts.Store.String(), Err: err})
		return unlock, nil, ctx.Err()
	}
	told := s.tried
	if found, err = s.ask(ctx, s.opts.Store); found != nil || err != nil { // by now
		release()
		return unlock, found, err
	}
	s.tried = told
	return release, nil, nil
}

// key returns what the kernel is called by those who get symbols of it: its build id or
// its release; it is empty where neither is known.
func (s *search) key(ctx context.Context) (string, error) {
	id, err := s.kernel.BuildID(ctx)
	if id != "" || err != nil {
		return id, err
	}
	return s.kernel.Release(ctx)
}

// ask returns the first of a source's candidates that fits, nil where none does. The
// error is that of ctx.
func (s *search) ask(ctx context.Context, source Source) (*Found, error) {
	before := len(s.tried)
	for c, err := range source.Find(ctx, s.kernel) {
		if c == nil {
			c = &Candidate{}
		}
		var found *Found
		if err == nil {
			found, err = s.take(ctx, c)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			return found, nil
		}
		s.tried = append(s.tried, Attempt{source.String(), c.Name, err})
	}
	if len(s.tried) == before {
		s.tried = append(s.tried, Attempt{Source: source.String(), Err: ErrNothing})
	}
	return nil, ctx.Err()
}

// take returns the symbols of a candidate if they fit, and keeps what was converted.
func (s *search) take(ctx context.Context, c *Candidate) (*Found, error) {
	f, kind := c.Symbols, "store"
	if f == nil {
		var err error
		if f, kind, err = s.convert(ctx, c); err != nil {
			return nil, err
		}
	}
	err := s.kernel.Check(ctx, f)
	if err == nil {
		err = s.accept(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	found := &Found{File: f, From: kind + " " + c.Name}
	if c.Symbols == nil {
		found.KeepErr = s.keep(ctx, c, f)
	}
	return found, nil
}

// keep puts symbols into the store unless they are there: under the build id that the
// image says, for by that they are sought.
func (s *search) keep(ctx context.Context, c *Candidate, f *isf.File) error {
	if s.opts.Store == nil || f.Banner() == "" {
		return nil
	}
	id, err := s.kernel.BuildID(ctx)
	if err != nil {
		return err
	}
	if id == "" {
		id, _ = BuildID(c.Content, c.Size) // of a file that has none, or is none of ELF, it is empty
	}
	if s.opts.Store.has(id, f.Banner()) {
		return nil
	}
	_, err = s.opts.Store.Put(f, id)
	return err
}

func (s *search) accept(ctx context.Context, f *isf.File) error {
	if s.opts.Accept == nil {
		return nil
	}
	return s.opts.Accept(ctx, f)
}

// nothing returns the error where nothing has symbols that fit.
func (s *search) nothing(ctx context.Context) error {
	e := &NotFoundError{Tried: s.tried}
	var err, err2 error
	e.Release, err = s.kernel.Release(ctx)
	e.BuildID, err2 = s.kernel.BuildID(ctx)
	if errors.Join(err, err2) != nil {
		return ctx.Err()
	}
	return e
}
