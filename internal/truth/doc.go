// Package truth reads what the /proc of a node said shortly before the node's memory
// was imaged, and compares it with what was found in the image. It is what tests
// prove results with: nothing in it comes from the code under test.
//
// The truth is a directory that a collector running on the node has made:
//
//	pods.json               the pods as they were created over the CRI
//	collector               PID of the collector; without it, the shell labnode is
//	clock                   one instant on the kernel's clocks, in nanoseconds
//	proc/uptime             when the collection began, if it took longer than an instant
//	pid/N/FILE              a file or directory of /proc/N
//	pid/N/{exe,cwd}         where the link led, and a newline; empty if nowhere
//	pid/N/ns                lines NAME NAME:[INUM]
//	pid/N/fd                lines FD TARGET
//	pid/N/fd.nul            the same, exactly: each ended by a NUL
//	pid/N/tasks             a line for each thread
//	pid/N/task/T/comm       names of threads; may be missing
//
// The node runs on while this is collected. [Compare] knows what may therefore differ,
// and nothing else may.
package truth
