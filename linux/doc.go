// Package linux finds the kernel in the physical memory of a Linux machine and
// walks its structures under the names that the kernel gives them.
//
// Open looks for the kernel, verifies that what it found is the running kernel
// (signs that do not derive from each other bear it out) and returns a
// Kernel. From there on the way is the kernel's own: a Kernel has Tasks, a Task
// has threads, credentials, namespaces, open files and an MM, an MM has VMAs.
// Text takes the form that /proc gives it, so that results can be compared with
// what was seen on the machine.
//
// Place finds a kernel in a file of memory whose addresses are not known, and says by
// the kernel's own account where in physical memory the file's bytes belong.
//
// # Kernels
//
// x86-64 kernels from 5.10 on, with 4 and 5 levels of page tables, with and
// without KASLR and page table isolation. Structures are described by an [isf.File]; the
// code asks it whether a type has a field and never looks at version numbers.
// What a kernel does not describe is lost to what needs it, with an error that wraps
// [kstruct.ErrUnsupported] and names it, and to nothing else: to be found a kernel needs
// no more than the name of init_task.
//
// # Errors
//
// What there is many of is an iterator of values and errors; what there is one of is
// returned with an error. An error is a [vmem.Gap], and does not end an iterator. Two
// errors are none: [ErrNone], where a task does not have what was asked for, and the
// context's own, which ends every iterator.
//
// # Damage
//
// Memory that was captured from a running machine is smeared: lists break off,
// pointers lead nowhere, counts lie. Each walk verifies what it steps on, has a
// budget, and goes on after a loss where the structure allows it; each loss is a
// [vmem.Gap], yielded where an iterator meets it.
//
// Strings that come from the image are the bytes that were found, whether UTF-8
// or not.
//
// # Not supported
//
// 32-bit kernels, other architectures, swapped-out memory (reported as a Gap),
// and the task list before 3.14 (threads are found by signal_struct.thread_head).
package linux
