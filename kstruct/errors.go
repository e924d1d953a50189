package kstruct

import "errors"

// The reasons for which a structure can't be read, beside those of package vmem.
var (
	// ErrCorrupt: a structure contradicts itself or its neighbours.
	ErrCorrupt = errors.New("inconsistent structure")
	// ErrCycle: a walk came back to where it had been.
	ErrCycle = errors.New("cyclic structure")
	// ErrTooLong: a walk or a string went over its limit.
	ErrTooLong = errors.New("over the limit")
	// ErrUnsupported: the kernel's types lack a member that this needs.
	ErrUnsupported = errors.New("not described by the symbols")
	// ErrPerCPU: a symbol is that of a per-CPU variable, which has an address for each
	// CPU and none of its own. See [Space.PerCPU].
	ErrPerCPU = errors.New("per-CPU variable")
)
