package kstruct

import "github.com/nodelens/nodelens/vmem"

// The reasons for which a structure can't be read, beside those of package vmem.
var (
	// ErrCorrupt: a structure contradicts itself or its neighbours.
	ErrCorrupt = vmem.NewReason("corrupt", "inconsistent structure")
	// ErrCycle: a walk came back to where it had been.
	ErrCycle = vmem.NewReason("cycle", "cyclic structure")
	// ErrTooLong: a walk or a string went over its limit.
	ErrTooLong = vmem.NewReason("too-long", "over the limit")
	// ErrTooMany: there are more of something than is told.
	ErrTooMany = vmem.NewReason("too-many", "more than are told")
	// ErrUnsupported: the kernel's types lack a member that this needs.
	ErrUnsupported = vmem.NewReason("unsupported", "not described by the symbols")
	// ErrPerCPU: a symbol is that of a per-CPU variable, which has an address for each
	// CPU and none of its own. See [Space.PerCPU].
	ErrPerCPU = vmem.NewReason("per-cpu", "per-CPU variable")
)
