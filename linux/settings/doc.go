// Package settings reads how a kernel was set up, and what it was told since: its command line and
// configuration, the programs that it starts by itself, handlers of binary formats, what taints it, what is
// locked down, and all sysctls, in every namespace that has its own.
//
//	s, err := settings.Read(ctx, k, &settings.Options{Modules: set, Tasks: tasks})
//	for _, c := range s.Sysctls {
//		fmt.Println(c.Name, "=", *c.Value)
//	}
//
// # Where things come from
//
// Sysctls are tables that hang in trees of directories (fs/proc/proc_sysctl.c): one tree of the kernel's own, and
// one of each namespace that has values of its own. The kernel's is the static sysctl_table_root. A kernel whose
// kallsyms has no data does not name it; it is then found in the kernel's data by the two pointers to itself that it
// has. Tables lead to the variables behind them, so that core_pattern, modprobe_path, poweroff_cmd and
// tainted are known without a symbol, too. Which form a value has says the function that shows it, by its symbol, which is that of
// code. Functions that compute what they show are not imitated, but for some: the value is then not known, and the reason says
// so.
//
// # Not supported
//
// Values of sysctls that the kernel makes when it is asked, such as kernel/random/uuid or counts over all CPUs.
package settings
