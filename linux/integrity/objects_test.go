package integrity

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// column returns a word of each line, once for each.
func column(lines []string, n int) (words []string) {
	for _, l := range lines {
		if f := strings.Fields(l); len(f) > n && !slices.Contains(words, f[n]) {
			words = append(words, f[n])
		}
	}
	slices.Sort(words)
	return words
}

// entries returns the entries of a table.
func (n *node) entries(table string) (lines []string) {
	for _, h := range n.of(table) {
		lines = append(lines, h.Entry)
	}
	return lines
}

// TestNames compares what there is of terminals, consoles, input handlers, file systems and interrupts with what /proc lists.
func TestNames(t *testing.T) {
	for _, x := range []struct {
		table string
		word  int      // of an entry that is the name
		file  []string // of the truth
		names func([]string) []string
	}{
		{"tty_ldiscs", 1, []string{"kernel", "tty", "ldiscs"}, func(l []string) []string { return column(l, 0) }},
		{"tty", 0, []string{"kernel", "tty", "drivers"}, ttyDrivers},
		{"console", 0, []string{"kernel", "consoles"}, func(l []string) []string {
			var names []string
			for _, name := range column(l, 0) {
				names = append(names, strings.TrimRight(name, "0123456789"))
			}
			return slices.Compact(names)
		}},
		{"input", 0, []string{"kernel", "input", "handlers"}, func(l []string) []string {
			var names []string
			for _, l := range l {
				if _, name, ok := strings.Cut(l, " Name="); ok {
					names = append(names, strings.Fields(name)[0])
				}
			}
			slices.Sort(names)
			return names
		}},
		{"filesystems", 0, []string{"proc", "filesystems"}, func(l []string) []string {
			for i := range l {
				l[i] = strings.TrimPrefix(l[i], "nodev")
			}
			return column(l, 0)
		}},
	} {
		t.Run(x.table, func(t *testing.T) {
			nodes.Each(t, func(t *testing.T, n *node) {
				want := x.names(n.lines(t, x.file...))
				if diff := cmp.Diff(want, column(n.entries(x.table), x.word)); diff != "" {
					t.Errorf("(-truth +found)\n%s", diff)
				}
			})
		})
	}
}

// ttyDrivers returns the drivers by the names that they have, or, as the file says of those that have none, of their devices.
func ttyDrivers(lines []string) (names []string) {
	for _, l := range lines {
		f := strings.Fields(l)
		switch {
		case strings.HasPrefix(f[len(f)-1], "system"):
			// what the kernel writes of devices that are no drivers
		case f[0] == "unknown":
			names = append(names, strings.TrimPrefix(f[1], "/dev/"))
		default:
			names = append(names, f[0])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestInterrupts compares the handlers of interrupts with /proc/interrupts.
func TestInterrupts(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		want, got := map[string]string{}, map[string]string{}
		for _, l := range n.lines(t, "proc", "interrupts") {
			number, rest, _ := strings.Cut(strings.TrimSpace(l), ":")
			if _, err := strconv.Atoi(number); err != nil {
				continue
			}
			var names []string
			for name := range strings.SplitSeq(rest[strings.LastIndex(rest, "  "):], ",") {
				names = append(names, strings.TrimSpace(name))
			}
			want[number] = strings.Join(names, ", ")
		}
		for _, h := range n.of(IRQTable) {
			number, rest, _ := strings.Cut(h.Entry, " ")
			if name, ok := strings.CutSuffix(rest, " handler"); ok {
				got[number] = strings.TrimPrefix(got[number]+", "+name, ", ")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// TestSoftirqs: there is a function for each vector that /proc/softirqs names, but for such as a kernel is built without.
func TestSoftirqs(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		functions := map[string]string{
			"HI": "tasklet_hi_action", "TIMER": "run_timer_softirq", "NET_TX": "net_tx_action", "NET_RX": "net_rx_action", "BLOCK": "blk_done_softirq",
			"IRQ_POLL": "irq_poll_softirq", "TASKLET": "tasklet_action", "SCHED": "run_rebalance_domains sched_balance_softirq", "HRTIMER": "hrtimer_run_softirq", "RCU": "rcu_core_si",
		}
		hooks := n.of("softirq")
		for i, name := range column(n.lines(t, "kernel", "softirqs")[1:], 0) {
			name = strings.TrimSuffix(name, ":")
			at := slices.IndexFunc(hooks, func(h Hook) bool {
				symbol, _, _ := strings.Cut(h.Symbol, ".")
				return slices.Contains(strings.Fields(functions[name]), symbol)
			})
			if at < 0 && name != "IRQ_POLL" || functions[name] == "" {
				t.Errorf("%d %s: none in %v", i, name, hooks)
			}
		}
	})
}

var (
	timerLine  = regexp.MustCompile(`^ #\d+: <[0-9a-f]+>, ([^,]+), S:01`)
	timerUntil = regexp.MustCompile(`^ # expires at (\d+)-`)
)

// TestTimerList compares the functions of high-resolution timers with /proc/timer_list. That was read a while before the image was taken: every
// function of a timer that was not due by then is there, and each that is found is of the list or of the few that sleep and are woken.
func TestTimerList(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		const later = 60e9 // in nanoseconds, by which the image is taken
		want, known := map[string]int{}, map[string]bool{"hrtimer_wakeup": true, "pm_suspend_timer_fn": true}
		var now, function string
		for _, l := range n.lines(t, "kernel", "timer_list") {
			if rest, ok := strings.CutPrefix(l, "now at "); ok {
				now = strings.Fields(rest)[0]
			}
			if m := timerLine.FindStringSubmatch(l); m != nil {
				function = m[1]
				known[function] = true
			}
			if m := timerUntil.FindStringSubmatch(l); m != nil {
				start, _ := strconv.ParseFloat(now, 64)
				until, _ := strconv.ParseFloat(m[1], 64)
				if until-start > later {
					want[function]++
				}
			}
		}
		got := map[string]int{}
		for _, h := range n.of(HRTimerTable) {
			got[h.Symbol]++
			if !known[h.Symbol] {
				t.Errorf("not in the list: %v", h)
			}
		}
		for function, count := range want {
			if got[function] == 0 {
				t.Errorf("%s, %d times: none", function, count)
			}
		}
		for _, function := range []string{"tick_sched_timer tick_nohz_handler", "watchdog_timer_fn"} { // that each CPU has at all times
			if names := strings.Fields(function); known[names[0]] && got[names[0]] == 0 && got[names[len(names)-1]] == 0 {
				t.Errorf("no %s", function)
			}
		}
	})
}

// TestKernelThreads: each kernel thread has a function of the kernel or a module, and those with the names of workers that of workers.
func TestKernelThreads(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		got := map[string]string{}
		for _, h := range n.of(KthreadTable) {
			got[strings.Fields(h.Entry)[0]] = h.Symbol
		}
		dirs, err := filepath.Glob(filepath.Join(n.Truth, "pid", "*", "stat"))
		if err != nil || len(dirs) == 0 {
			t.Skip("no truth")
		}
		threads := 0
		for _, stat := range dirs {
			b, err := os.ReadFile(stat)
			if err != nil {
				t.Fatal(err)
			}
			name, rest, _ := strings.Cut(string(b[strings.IndexByte(string(b), '(')+1:]), ") ")
			f := strings.Fields(rest)
			flags, _ := strconv.ParseUint(f[6], 10, 64)
			pid := filepath.Base(filepath.Dir(stat))
			const kernelThread = 0x200000
			if flags&kernelThread == 0 || pid == "2" || strings.HasPrefix(name, "kworker") { // which come and go
				continue
			}
			threads++
			if got[pid] == "" {
				t.Errorf("%s %s has no function", pid, name)
			}
		}
		if threads == 0 {
			t.Error("no threads")
		}
		for _, h := range n.of(KthreadTable) {
			want := "worker_thread"
			if strings.Contains(h.Entry, " kworker/R-") { // as they are named since 6.10
				want = "rescuer_thread"
			}
			if strings.Contains(h.Entry, " kworker/") && h.Symbol != want {
				t.Error(h)
			}
		}
	})
}

// TestBothSymbols: with the symbols of a file that has types of variables, all hooks are those that are found with the symbols that the image
// has itself. So the chains of notifiers that code leads to are all that there are.
func TestBothSymbols(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads files of symbols")
	}
	nodes.Each(t, func(t *testing.T, n *node) {
		if n.ISF == "" {
			t.Skip("there are none")
		}
		if _, err := n.K.Symbol("sys_call_table"); err != nil {
			t.Skip("the image itself names no data")
		}
		f, err := isf.Open(n.ISF)
		if err != nil {
			t.Fatal(err)
		}
		k, err := linux.Open(t.Context(), n.Mem, &linux.Options{Symbols: f})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		hooks, gaps := all(t.Context(), c)
		if diff := cmp.Diff(fmt.Sprint(n.gaps), fmt.Sprint(gaps)); diff != "" {
			t.Errorf("gaps (-image +file)\n%s", diff)
		}
		if diff := cmp.Diff(places(n.hooks), places(hooks)); diff != "" {
			t.Errorf("(-image +file)\n%s", diff)
		}
	})
}

// A place is what of a hook does not depend on which of two names of one address is taken.
type place struct {
	table   string
	at      vmem.VirtAddr
	target  vmem.VirtAddr
	verdict string
	suspect bool
}

func places(hooks []Hook) map[place]int {
	all := map[place]int{}
	for _, h := range hooks {
		all[place{h.Table, h.Address, h.Target, h.Verdict.String(), h.Suspect}]++
	}
	return all
}

// TestTamperedObjects replaces a function of each table of the bundled node by code and by data of a module. Each change is found, and nothing else is.
func TestTamperedObjects(t *testing.T) {
	n := nodes.Bundled(t)
	p := &tampered{newMemory(n), n}
	m := n.c.modules.Find("vsock")
	code := m.Base + 0x10
	data := m.Areas[len(m.Areas)-1].Range.Start
	var want []string
	change := func(table, entry string, to vmem.VirtAddr) {
		t.Helper()
		hooks := n.of(table)
		i := slices.IndexFunc(hooks, func(h Hook) bool { return strings.HasPrefix(h.Entry, entry) })
		if i < 0 {
			t.Fatalf("no %s %s in %v", table, entry, hooks)
		}
		verdict := "module vsock"
		if to == data {
			verdict = "unknown"
		}
		p.pointer(t, hooks[i].Address, to)
		want = append(want, table+" "+hooks[i].Entry+": "+verdict)
	}
	change("proc", "net/udp show", code)
	change("tty_ldiscs", "0 n_tty receive_buf", code)
	change("tty", "serial ops write", code)
	change("tty", "tty ops write", data)
	change("console", "ttyS write", code)
	change("input", "kbd event", code)
	change("input_devices", "", data)
	change("protocols", "TCP recvmsg", code)
	change("net_families", "2 create", code)
	change("inetsw", "1 TCP ops accept", code)
	change("inetsw6", "2 UDPv6 ops bind", code)
	change("inet_protos", "6 handler", code)
	change("inet6_protos", "17 handler", data)
	change("inet_offloads", "6 callbacks.gro_receive", code)
	change("inet6_offloads", "6 callbacks.gro_receive", code)
	change("filesystems", "proc", code)
	change("superblocks", "proc s_root->d_inode->i_fop iterate_shared", code)
	change("superblocks", "sysfs s_op statfs", code)
	change("binfmt", "elf_format load_binary", code)
	change("softirq", "3 ", code)
	change("sysrq", "", code)
	change("pmu", "", data)
	change(NotifierTable, "panic_notifier_list 0", code)
	change(NotifierTable, "netdev_chain 3", data)
	change("keyboard", "k_handler 0", code)
	change("power", "machine_ops restart", code)
	change(PacketTable, "", code)
	change(IRQTable, "4 ttyS0 handler", data)
	change("irq_chip", "IO-APIC irq_unmask", code)
	change(TimerTable, "", data)
	change(HRTimerTable, "", data)
	change(KthreadTable, "", data)
	change(StaticCallTable, "", data)

	jump := symbol(t, n, "__start___jump_table")
	first, _ := n.K.Space().Uint32(jump)
	from := jump + vmem.VirtAddr(int64(int32(first)))
	for n.c.Verdict(from).Kind != Kernel { // of code that is kept
		jump += 16
		first, _ = n.K.Space().Uint32(jump)
		from = jump + vmem.VirtAddr(int64(int32(first)))
	}
	off := uint32(code - (jump + 4))
	p.put(t, jump+4, []byte{byte(off), byte(off >> 8), byte(off >> 16), byte(off >> 24)})
	want = append(want, "jump_labels "+n.c.symbols.Describe(from)+": module vsock")

	got := p.differences(t)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +found)\n%s", diff)
	}
}

// TestOrderOfNotifiers: a function that is put in front of others of higher priority is found by that.
func TestOrderOfNotifiers(t *testing.T) {
	n := nodes.Bundled(t)
	p := &tampered{newMemory(n), n}
	hooks := n.of(NotifierTable)
	i := slices.IndexFunc(hooks, func(h Hook) bool { return h.Entry == "panic_notifier_list 1" })
	p.put(t, hooks[i].Address+16, []byte{0, 0, 0, 0x7f}) // behind notifier_call and next
	want := []string{"notifiers panic_notifier_list 1: kernel"}
	if diff := cmp.Diff(want, p.differences(t)); diff != "" {
		t.Errorf("(-want +found)\n%s", diff)
	}
}
