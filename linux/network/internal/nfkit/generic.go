package nfkit

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxGeneric bounds the identifiers of what modules keep for a network namespace; kernels
// have some dozens.
const maxGeneric = 1024

// firstGeneric is the first such identifier: MIN_PERNET_OPS_ID of net/core/net_namespace.c.
const firstGeneric = 3

// Generic returns what a module keeps for the struct net at net (net_generic of
// include/net/netns/generic.h): by its identifier, the variable symbol of the module; where
// that has no symbol, as in kernels whose kallsyms has no data, the one and only for which is
// holds. It is 0 where there is none.
func (s *Source) Generic(net vmem.VirtAddr, mod, symbol string, is func(vmem.VirtAddr) bool) (vmem.VirtAddr, error) {
	all, err := s.generics(net)
	if err != nil {
		return 0, err
	}
	if at, err := s.Symbol(mod, symbol); err == nil {
		if id, err := s.Mem().Uint32(at); err == nil && int(id) >= firstGeneric && int(id) < firstGeneric+len(all) {
			a := all[id-firstGeneric]
			if a != 0 && !Plausible(a) {
				return 0, Pointer(symbol, a)
			}
			return a, nil // what is there is verified by who reads it
		}
	}
	var found vmem.VirtAddr
	for _, a := range all {
		switch {
		case !Plausible(a) || a == found || !is(a):
		case found != 0:
			return 0, fmt.Errorf("%w: net_generic has two that may be that of %s", kstruct.ErrCorrupt, symbol)
		default:
			found = a
		}
	}
	return found, nil
}

// generics returns the pointers of struct net_generic behind its header, as many as it says.
func (s *Source) generics(net vmem.VirtAddr) ([]vmem.VirtAddr, error) {
	b := kstruct.NewBinder(s.K.Symbols())
	gen := kstruct.BindField[vmem.VirtAddr](b, "net", "gen")
	length := kstruct.BindField[uint32](b, "net_generic", "s.len")
	ptr := kstruct.BindMember(b, "net_generic", "ptr")
	if err := b.Err(); err != nil {
		return nil, err
	}
	at, err := gen.Load(s.Mem(), net)
	if err != nil {
		return nil, err
	}
	if !Plausible(at) {
		return nil, Pointer("net_generic", at)
	}
	n, err := length.Load(s.Mem(), at)
	switch {
	case err != nil:
		return nil, err
	case n < firstGeneric || n > maxGeneric:
		return nil, Corrupt("net_generic %v of %d elements", at, n)
	}
	var all []vmem.VirtAddr
	for i := uint32(firstGeneric); i < n; i++ {
		// The header takes the place of the first pointers.
		a, err := s.Mem().Uint64(ptr.Of(at) + vmem.VirtAddr(8*i))
		if err != nil {
			return all, err
		}
		all = append(all, vmem.VirtAddr(a))
	}
	return all, nil
}
