package module

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/layouts"
)

// errNoTypes is why modules of kernels before 5.11 have no types.
func errNoTypes(release string) error {
	return fmt.Errorf("%w: modules of %s carry no types (CONFIG_DEBUG_INFO_BTF_MODULES came with 5.11): give a layout of them, made of their .ko.debug files",
		kstruct.ErrUnsupported, release)
}

// addTypes returns the kernel's types and symbols; where modules carry no types, with those that
// a layout of the modules of this very release has. What both have must be the same.
func (s *Set) addTypes() (*isf.File, error) {
	own, release := s.k.Symbols(), s.k.Info().Release
	if s.views.btf.err == nil {
		return own, nil
	}
	known := s.opts.Layouts
	if known == nil {
		known = layouts.KnownModules()
	}
	list := known.ByRelease(release)
	if len(list) == 0 || list[0].Release != release {
		return own, errNoTypes(release)
	}
	f, err := list[0].File()
	if err != nil {
		return own, err
	}
	all, conflicts := own.Complete(f, &isf.CompleteOptions{From: list[0].String()})
	if len(conflicts) > 0 {
		return own, fmt.Errorf("%w: %v is of another kernel: %w", kstruct.ErrUnsupported, list[0], conflicts[0])
	}
	return all, nil
}
