//go:build !linux

package fleet

// applySystem does nothing: the garbage collector and the deadline are what there is.
func (Limits) applySystem() error { return nil }
