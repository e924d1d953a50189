package symbols

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
)

// imageName is how attempts name the image.
const imageName = "the image"

// FromImage reports whether [Found.String], which is what [Options.Symbols] says, means that the symbols are the image's own, and that nothing else was
// taken or refused before.
func FromImage(from string) bool {
	return strings.HasPrefix(from, imageName+": ") && !strings.ContainsAny(from, ";(")
}

// errNotWhole says that the image's own symbols lack what the store has.
var errNotWhole = errors.New("not whole")

// wholeOr returns the image's own symbols; where these are not whole, those that the store has
// of the kernel, if any.
func (s *search) wholeOr(ctx context.Context, own *Found) (*Found, error) {
	lost := own.File.Lost()
	if len(lost) == 0 || s.opts.Store == nil {
		return own, nil
	}
	tried := s.tried
	s.tried = append(s.tried, Attempt{Source: imageName, Err: fmt.Errorf("%w: %d losses, such as %w", errNotWhole, len(lost), lost[0])})
	found, err := s.ask(ctx, s.opts.Store)
	if found == nil {
		found, s.tried = own, tried
	}
	return found, err
}

// image takes the symbols out of the image itself. They are nil where it has none. The
// error is that of ctx.
func (s *search) image(ctx context.Context) (*Found, error) {
	f, report, err := btfconv.FromMemory(ctx, s.kernel.Memory(), &btfconv.MemoryOptions{Progress: s.opts.Progress})
	if err == nil {
		err = report.TypesErr
	}
	if err == nil {
		err = s.accept(ctx, f)
	}
	if err != nil {
		s.tried = append(s.tried, Attempt{Source: imageName, Err: err})
		return nil, ctx.Err()
	}
	return &Found{File: f, From: fmt.Sprintf("%s: %d types of BTF, %d symbols of kallsyms, %d of exports, %d found otherwise",
		imageName, report.BTF.Count, report.Kallsyms.Count, report.Exports.Count, len(report.Found))}, nil
}
