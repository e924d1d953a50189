package symbols

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/isf"
)

// Read returns the symbols that a file has, of whatever kernel they are, in any form that
// Find takes; and the build id of the kernel, in hexadecimal, where it is an ELF file that
// says it. Of opts, Converters, TempDir and Progress matter.
//
// The error wraps ErrFormat where the file is in no such form.
func Read(ctx context.Context, name string, opts *Options) (f *isf.File, buildID string, err error) {
	var s search
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Progress == nil {
		s.opts.Progress = func(string, int64, int64) {}
	}
	r, info, err := openRegular(name)
	if err != nil {
		return nil, "", fmt.Errorf("symbols: %s: %w", name, err)
	}
	defer r.Close()
	f, _, err = s.convert(ctx, &Candidate{Name: name, Content: r, Size: info.Size()})
	if err != nil {
		return nil, "", fmt.Errorf("symbols: %s: %w", name, err)
	}
	buildID, _ = BuildID(r, info.Size()) // of what is no ELF file there is none
	return f, buildID, nil
}
