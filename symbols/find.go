package symbols

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of Find. The zero value, and nil, ask the image alone.
type Options struct {
	// Given is a file that the caller insists on: one that does not fit is the error of
	// Find, and nothing else is asked. Empty: there is none.
	Given string

	// Paths are files, and directories of files as [Directory] has them, to be asked in
	// that order where the image does not give its own symbols.
	Paths []string

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
}

// An Attempt is something that was asked for symbols and had none that fit.
type Attempt struct {
	Source string // as Source.String has it
	Name   string // the path or the URL of what was refused; empty where there was nothing to refuse
	Err    error  // the reason; wraps ErrNothing where the source has nothing for the kernel
}

// String returns the attempt as one line.
func (a Attempt) String() string {
	if strings.HasSuffix(a.Source, a.Name) {
		return fmt.Sprintf("%s: %v", a.Source, a.Err)
	}
	return fmt.Sprintf("%s: %s: %v", a.Source, a.Name, a.Err)
}

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
	for i, a := range e.Tried {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + a.String())
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
	if found, err := s.image(ctx); found != nil || err != nil {
		return found, err
	}
	for _, source := range s.sources() {
		if found, err := s.ask(ctx, source); found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// given takes the file that the caller insists on.
func (s *search) given(ctx context.Context) (*Found, error) {
	source := File(s.opts.Given)
	found, err := s.ask(ctx, source)
	if found == nil && err == nil {
		err = fmt.Errorf("%s: %w", s.tried[0].Name, s.tried[0].Err)
	}
	return found, err
}

// sources returns what is asked after the image.
func (s *search) sources() []Source {
	var sources []Source
	for _, path := range s.opts.Paths {
		sources = append(sources, Path(path))
	}
	return append(sources, s.opts.Fetch...)
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

// take returns the symbols of a candidate if they fit.
func (s *search) take(ctx context.Context, c *Candidate) (*Found, error) {
	f, kind := c.Symbols, "symbols"
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
	return &Found{File: f, From: kind + " " + c.Name}, nil
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
