package kstruct

import "github.com/nodelens/nodelens/isf"

// ResolveContainers looks up in types all that walks over containers and per-CPU variables
// need, as they do when they first walk one. It is for who wants to know what that is: see
// [isf.File.Recorded]. What types lacks is passed over.
func ResolveContainers(types *isf.File) {
	r := &resolver{Resolver: isf.NewResolver(types)}
	resolveList(r)
	resolvePList(r)
	resolveLList(r)
	for _, kind := range []string{"hlist", "hlist_bl", "hlist_nulls"} {
		resolveHList(kind)(r)
	}
	resolveRB(r)
	resolveXArray(r)
	resolveMaple(r)
	resolveRHash(r)
	resolvePerCPU(r)
	resolveCounter(r)
	resolveRef(r)
}
