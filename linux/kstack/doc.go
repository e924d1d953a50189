// Package kstack unwinds the kernel stacks of tasks that are not running, as /proc/PID/stack and wchan show them.
//
//	r, err := kstack.New(ctx, k, modules)
//	frames, err := r.Stack(task)
//
// It goes by ORC, the tables that the kernel and its modules have of how each instruction's frame lies on the stack
// (Documentation/arch/x86/orc-unwinder.rst). The kernel's own are found by their symbols, or where there are none by what they are: the longest row of
// ascending addresses of code.
//
// # Not supported
//
// Kernels that were built with CONFIG_UNWINDER_FRAME_POINTER or without an unwinder. Return addresses that a tracer of functions replaced are told as what
// they are.
package kstack
