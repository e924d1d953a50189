package btfconv

import (
	"context"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/isf"
)

// build makes the database.
func (s *search) build() (*isf.File, error) {
	s.report.KASLRShift, s.report.TextPhys = s.image.shift, s.image.phys
	c := s.types
	c.Lost = slices.Concat(c.Lost, s.lost, s.symbolsLost, s.report.lostParts())
	c.Symbols = typedSymbols(s.symbols, &s.image, s.vars, &c)
	setBanner(&c, s.report.Banner)
	f, err := isf.New(c)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
		return nil, &MissingError{Part: PartBTF, Release: s.report.Release, BuildID: s.report.BuildID, Err: err}
	}
	return f, nil
}

// identify completes what is known of the kernel for an error message.
func (s *search) identify(ctx context.Context) {
	if s.report.Release != "" {
		return
	}
	for pa := range scanFor(ctx, s.mem, everything, []byte(bannerStart)) {
		k := kernelImage{mem: s.mem, phys: pa}
		if text := k.bannerAt(0); text != "" {
			s.report.setBanner(text)
			return
		}
	}
}
