package linux

import "cmp"

// Limits bound what is read of one kernel and told of it, for memory may say anything: a
// descriptor table of millions of entries that are one page, a path of thousands of
// directories, a list without an end. They are sums, far above what sound kernels have, and
// what goes over one is cut there: what comes before is told, and one [vmem.Gap] says how
// much there would be, with the reason too-long or too-many.
//
// The zero value of each field is its default. Walks over the kernel's containers have
// limits of their own, in proportion to what the kernel itself counts: tasks, mounts,
// mappings.
type Limits struct {
	// AreaBytes is how much of an argument or environment area is read. 0 means 6 MiB, what
	// execve fills at most (bprm_stack_limits of fs/exec.c); prctl can move the bounds
	// anywhere.
	AreaBytes int
	// AreaStrings is how many strings of an area are told. 0 means 65,536.
	AreaStrings int
	// PathBytes is what the length of a path stays below. 0 means 8192: twice PATH_MAX
	// (include/uapi/linux/limits.h), beyond which the kernel shows none, though programs that
	// change directory on the way can have such files.
	PathBytes int
	// FDs is how many open files of one process are told. 0 means 65,536.
	FDs int
	// Gaps is how many losses of one walk are told for each reason, before one that says how
	// many more there are. 0 means 1000.
	Gaps int

	// ReportFDs is how many open files a report of package cos tells, of all processes
	// together. 0 means 262,144. Processes with the most are cut first.
	ReportFDs int
	// ReportBytes is the size of such a report as JSON, as far as processes and gaps make it,
	// and that of each further section it is asked for. 0 means 64 MiB. The longest lists are cut
	// first, so that what one process has costs no other anything.
	ReportBytes int
}

// OrDefault returns the limits with the default of each that is 0.
func (l Limits) OrDefault() Limits {
	return Limits{
		AreaBytes:   cmp.Or(l.AreaBytes, 6<<20),
		AreaStrings: cmp.Or(l.AreaStrings, 1<<16),
		PathBytes:   cmp.Or(l.PathBytes, 8192),
		FDs:         cmp.Or(l.FDs, 1<<16),
		Gaps:        cmp.Or(l.Gaps, 1000),
		ReportFDs:   cmp.Or(l.ReportFDs, 1<<18),
		ReportBytes: cmp.Or(l.ReportBytes, 64<<20),
	}
}
