package symbols

import (
	"context"
	"strings"

	"github.com/nodelens/nodelens/layouts"
)

// hasLayout reports whether there is a layout of the kernel, or of another build of its
// version, as far as the image says what it is.
func (o *Options) hasLayout(ctx context.Context, k *Kernel) bool {
	if o.Given != "" {
		return false
	}
	known := o.Layouts
	if known == nil {
		known = layouts.Known()
	}
	if id, err := k.BuildID(ctx); err == nil && len(known.ByBuildID(id)) > 0 {
		return true
	}
	banners, err := k.Banners(ctx)
	if err != nil {
		return false
	}
	for _, l := range known.All() {
		for _, b := range banners {
			if strings.HasPrefix(b, bannerStart+l.Release+" ") {
				return true
			}
		}
	}
	return false
}
