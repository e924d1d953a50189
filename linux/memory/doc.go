// Package memory reads what processes had in memory: which parts of their address spaces are there, what the registers of
// their threads were, cores that debuggers open, bytes and expressions in them, and what looks like code that does not belong.
//
//	r := memory.New(k, nil)
//	core, err := r.WriteCore(ctx, file, task)
//	for hit, err := range r.Search(ctx, tasks, patterns) {
//	findings, err := r.Suspicious(ctx, task)
//	for m, err := range r.Mappings(ctx, mm) { // as /proc/PID/maps
//		usage, err := r.Usage(ctx, mm, &m.VMA) // as /proc/PID/smaps
//		for page, err := range r.PageStates(ctx, mm, &m.VMA) {
//
// Pages that were swapped out are read from where they are in the image, as package swap does, or from a swap file that is given; so cores and searches have them.
// Memory that is not there is never made up: a page that the image lost, or that was swapped out to a disk, is a hole, and said to be one.
// A page of a file that no process has mapped in is absent from here; package pagecache has it where the kernel did.
//
// # Not supported
//
// The mapping [vsyscall], which all processes share, is not among those of a process. Registers of the floating-point unit are not in cores. Programs of 32 bits and
// x32 are not.
package memory
