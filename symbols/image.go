package symbols

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/btfconv"
)

// imageName is how attempts name the image.
const imageName = "the image"

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
