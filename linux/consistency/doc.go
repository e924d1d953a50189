// Package consistency says how far a kernel's memory agrees with itself, by counting: a fixed
// list of invariants, each over all objects that it holds for while a kernel runs.
//
//	r, err := consistency.Check(ctx, kernel, nil)
//	fmt.Println(r) // smeared over 1.4 s: 3 of 41230 invariants broken (threads: 1 of 87 torn)
//
// An image of a machine that stood still has all of them. One that was captured while the
// machine ran is smeared: its pages are of different moments, so a list has an entry that
// its neighbour does not know yet, and a count is one too low. One whose pages were lost or
// overwritten has, besides, what a running kernel has at no moment: links that lead nowhere.
//
// The verdict is a fact of its own. It is taken from the memory alone, and not from what
// reading the node lost: what is repaired, or found by another way, is counted all the same.
//
// # Invariants
//
//	tasks         list of tasks       next and previous task point back
//	              children, siblings  so do the lists of children
//	              parents             a child is of the parent whose list has it
//	threads       list of threads     so do the lists of threads
//	              thread counts       signal_struct.nr_threads is the length of the list
//	              thread groups       the leader is of the same group
//	PIDs          PID links           struct pid and task lead to each other and have one number
//	              PID count           pid_namespace.pid_allocated is what the IDR has
//	cgroups       css_set members     lists of tasks of a css_set point back
//	              css_set counts      css_set.nr_tasks is their length
//	memory maps   mappings            they are of that mm, ascend and do not overlap
//	              mapping counts      mm_struct.map_count is how many there are
//	page tables   tables              entries lead to memory that there is
//	              table parents       no table has two entries that lead to it
//	              tables of mappings  no table of the lowest level is where nothing is mapped
//	              pages of mappings   no page is mapped there (by option)
//	open files    descriptors         open_fds has the bit of each file in the table
//	mounts        mount counts        mnt_namespace.nr_mounts is how many there are
//	              mount namespaces    they are of that namespace
//	              mount parents       so is what they are mounted on
//
// What is broken is impossible, and no smear, if a running kernel has it at no moment: links
// that lead nowhere, and the memory and files of a process that slept while memory was
// captured. Of a task that was started in that time anything is possible.
//
// What a kernel's types lack is not checked: its count of checks is 0.
//
// # The window
//
// Clocks that stand in memory say when their pages were captured: the timekeeper's, those of
// run queues whose CPUs worked, and of tasks that ran; and the times at which tasks were
// started or last ran, which are before. The window is the time from the earliest to the
// latest. The capture took at least as long, less a few ticks.
//
// Where in the image these clocks are, says how long all of it took, if memory was captured
// upwards and at an even pace, as most tools do. That is an estimate, and orders captures by
// how long they took better than the window does: clocks may lie close together. There is
// none if they do, or if any page knows of what was only after its turn; then Capture is the
// window. What may have changed while memory was captured is judged by the estimate, and not
// by the window alone.
package consistency
