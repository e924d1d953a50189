// Package process tells of a task what it may do, what it does and what it takes: what
// /proc/PID/status, stat, limits and their like show, and what they do not.
//
//	r := process.New(k)
//	for t, err := range k.Processes(ctx) {
//		security, err := r.Security(t)
//		signals, err := r.Signals(t)
//
// All is read from the task_struct and what it points to, so that nothing here needs a symbol: a
// kernel whose kallsyms has no data, as Container-Optimized OS, is read as any other.
//
// A method returns what could be read together with the first loss, a [vmem.Gap]; a member that the
// kernel does not have is zero, and said to be so in its comment.
//
// # Not supported
//
// The lines Speculation_Store_Bypass and SpeculationIndirectBranch of /proc/PID/status are made from
// what the processor can do, and are left out.
package process
