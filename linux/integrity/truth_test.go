package integrity

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

// sizeOfSymbol is what %pS of the kernel has behind an offset.
var sizeOfSymbol = regexp.MustCompile(`(\+0x[0-9a-f]+)/0x[0-9a-f]+`)

// TestEnabledFunctions compares who traces functions with enabled_functions of tracefs, line by line.
func TestEnabledFunctions(t *testing.T) { nodes.Each(t, testEnabledFunctions) }

func testEnabledFunctions(t *testing.T, n *node) {
	want := strings.Split(sizeOfSymbol.ReplaceAllString(strings.Join(n.lines(t, "kernel", "enabled_functions"), "\n"), "$1"), "\n")
	r := &reader{Checker: n.c, ctx: t.Context(), yield: func(_ Hook, err error) bool {
		if err != nil {
			t.Error(err)
		}
		return true
	}}
	direct := r.directFunctions()
	var got []string
	r.eachRecord(func(rec traceRecord) bool {
		if rec.Flags&recEnabled != 0 {
			got = append(got, strings.Split(r.enabledLine(rec, direct[rec.IP]), "\n")...)
		}
		return true
	})
	if want[0] == "" && !n.clean() {
		t.Skip("ftrace has switched itself off, as it does where it finds code that it did not put there")
	}
	if want[0] == "" {
		want = nil
	}
	if diff := cmp.Diff(unnamed(want, got), got); diff != "" {
		t.Errorf("(-truth +found)\n%s", diff)
	}
}

var namedTrampoline = regexp.MustCompile(`tramp: \S+\+0x\w+ \[\w+\] \(`)

// unnamed takes away the names of trampolines that stand where a module's code for its start was: ftrace remembers
// functions that are gone, and the kernel names by them whatever is there now.
func unnamed(want, got []string) []string {
	want = slices.Clone(want)
	for i := range min(len(want), len(got)) {
		name, address := namedTrampoline.FindString(want[i]), bareTrampoline.FindString(got[i])
		if name != "" && address != "" {
			want[i] = strings.Replace(want[i], name, address, 1)
		}
	}
	return want
}

var bareTrampoline = regexp.MustCompile(`tramp: 0x[0-9a-f]+ \(`)

// symbolText returns an address as %pS of the kernel has it, without the size.
func (r *reader) symbolText(a vmem.VirtAddr) string {
	l, ok := r.symbols.Resolve(a)
	if !ok || strings.HasPrefix(l.Owner, "__builtin__ftrace") {
		return a.String()
	}
	text := fmt.Sprintf("%s+%#x", l.Symbol, l.Offset)
	if l.Owner != "" && l.Owner != "bpf" {
		text += " [" + l.Owner + "]"
	}
	return text
}

// enabledLine returns a record as t_show of kernel/trace/ftrace.c shows it.
func (r *reader) enabledLine(rec traceRecord, direct vmem.VirtAddr) string {
	text := r.functionName(rec.IP) + fmt.Sprintf(" (%d)", rec.Flags&r.ftrace.views.count)
	flag := func(bit uint64, name string) {
		if rec.Flags&bit == 0 {
			name = strings.Repeat(" ", len(name))
		}
		text += name
	}
	flag(recRegs, " R")
	flag(recIPModify, " I")
	flag(recDirect, " D")
	if r.ftrace.views.count < recModified {
		flag(recCallOps, " O")
		flag(recModified, " M ")
	}
	calls := func(o *ops) {
		if to := r.calledBy(rec, o); to != 0 {
			text += " ->" + r.symbolText(to)
		}
	}
	if rec.Flags&recTrampEnabled != 0 {
		for _, o := range r.ftrace.list {
			if o.Trampoline != 0 && o.traces(rec.IP) {
				text += fmt.Sprintf("\ttramp: %s (%s)", r.symbolText(o.Trampoline), r.symbolText(o.Func))
				calls(o)
			}
		}
	} else {
		calls(nil)
	}
	if rec.Flags&recDirect != 0 && direct != 0 {
		text += "\n\tdirect-->" + r.symbolText(direct&^1)
		if direct&1 != 0 {
			text = strings.Replace(text, "direct-->", "direct(jmp)-->", 1)
		}
	}
	return text
}

// calledBy returns what a trampoline calls, or the kernel's own (arch_ftrace_trampoline_func).
func (r *reader) calledBy(rec traceRecord, o *ops) vmem.VirtAddr {
	regs := rec.Flags&recRegsEnabled != 0
	if o != nil && o.Trampoline != 0 {
		if o.Flags&opsAlloc == 0 {
			return 0
		}
		regs = o.Flags&opsSaveRegs != 0
	}
	start, call := "ftrace_caller", "ftrace_call"
	if regs {
		start, call = "ftrace_regs_caller", "ftrace_regs_call"
	}
	from, _ := r.symbolOf(start)
	at, _ := r.symbolOf(call)
	base := from
	if o != nil && o.Flags&opsAlloc != 0 {
		base = o.Trampoline
	}
	to, _, _ := r.readSite(base + (at - from))
	return to
}

// TestKprobesList compares kprobes with kprobes/list of debugfs.
func TestKprobesList(t *testing.T) { nodes.Each(t, testKprobesList) }

func testKprobesList(t *testing.T, n *node) {
	var want, got []string
	for _, l := range n.lines(t, "kernel", "kprobes_list") {
		if l != "" {
			want = append(want, strings.Join(strings.Fields(l), " "))
		}
	}
	for _, k := range n.c.probes.list {
		kind := "k"
		if k.ret != nil {
			kind = "r"
		}
		l, _ := n.c.symbols.Resolve(k.Addr)
		var line strings.Builder
		fmt.Fprintf(&line, "%016x %s %s+%#x %s ", uint64(k.Addr), kind, l.Symbol, l.Offset, l.Owner)
		for _, f := range []struct {
			on   bool
			name string
		}{{k.Flags&probeGone != 0, "[GONE]"}, {k.Flags&(probeDisabled|probeGone) == probeDisabled, "[DISABLED]"}, {k.shared&probeOptimized != 0, "[OPTIMIZED]"}, {k.shared&probeFtrace != 0, "[FTRACE]"}} {
			if f.on {
				line.WriteString(f.name)
			}
		}
		got = append(got, strings.Join(strings.Fields(line.String()), " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-truth +found)\n%s", diff)
	}
}

// TestEvents compares the events that somebody defined with kprobe_events and uprobe_events of tracefs.
func TestEvents(t *testing.T) { nodes.Each(t, testEvents) }

func testEvents(t *testing.T, n *node) {
	for _, table := range []string{"kprobe_events", "uprobe_events"} {
		want := slices.DeleteFunc(n.lines(t, "kernel", table), func(l string) bool { return l == "" })
		var got []string
		for _, h := range n.of(table) {
			got = append(got, h.Entry)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("sort", func(in []string) []string { return slices.Sorted(slices.Values(in)) })); diff != "" {
			t.Errorf("%s (-truth +found)\n%s", table, diff)
		}
	}
}

// TestUprobes: each event of a uprobe is in the tree of uprobes while it is used; and what is there is at a place of a file.
func TestUprobes(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		for _, h := range n.of("uprobes") {
			file, off, ok := strings.Cut(h.Entry, ":0x")
			if !ok || off == "" || !filepath.IsAbs(file) {
				t.Error(h)
			}
		}
	})
}

// TestSyscalls: every number that user space can give is there, each served by the function of its name: the tables are as long as
// the kernel's, and the code of a switch leads where the table does.
func TestSyscalls(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		table, code := map[string]vmem.VirtAddr{}, map[string]vmem.VirtAddr{}
		for _, h := range n.of("sys_call_table") {
			table[h.Entry] = h.Target
		}
		for _, h := range n.of("x64_sys_call") {
			code[h.Entry] = h.Target
		}
		if len(table)+len(code) == 0 {
			t.Fatal("none")
		}
		if !n.clean() {
			return
		}
		for entry, target := range code {
			if at, ok := table[entry]; ok && at != target {
				t.Errorf("%s: %v by the table, %v by the code", entry, at, target)
			}
		}
		for _, entry := range []string{"0 read", "59 execve", "435 clone3", "437 openat2"} { // the last are those that others miss
			if at, ok := code[entry]; len(code) > 0 && (!ok || at == 0) {
				t.Errorf("%s is not in the code", entry)
			}
			if at, ok := table[entry]; len(table) > 0 && (!ok || at == 0) {
				t.Errorf("%s is not in the table", entry)
			}
		}
	})
}

// TestIDT: all 256 vectors are told, not the first twenty alone, and a handler that is left from the kernel's start is no finding.
func TestIDT(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		idt := n.of("idt")
		if len(idt) != vectors {
			t.Errorf("%d vectors", len(idt))
		}
		for _, h := range idt {
			if h.Entry == "14 #PF" && !strings.Contains(h.Symbol, "page_fault") || strings.HasPrefix(h.Entry, "128 ") && !strings.Contains(strings.ToLower(h.Symbol), "int80") {
				t.Error(h)
			}
		}
	})
}

// rootkitHooks are where the stand-ins of rootkits are found, by what they do.
var rootkitHooks = map[string]struct{ tables, entry string }{
	"table":     {"sys_call_table", "140 getpriority"},
	"text":      {"sys_call_table x64_sys_call", "121 getpgid|140 getpriority"}, // the second of an earlier stand-in
	"ftrace":    {"ftrace", "__x64_sys_setpriority"},
	"kprobe":    {"kprobes", "__x64_sys_getcpu"},
	"netfilter": {"netfilter", " ip input"},
	"seq":       {"proc", "net/tcp show"},
}

// TestRootkits: each stand-in is found where it is, and named with its module.
func TestRootkits(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		if n.clean() {
			t.Skip("there is none")
		}
		for _, l := range n.lines(t, "rootkit.list") {
			words := strings.Fields(l)
			if len(words) < 2 || rootkitHooks[words[0]].tables == "" {
				continue
			}
			want := rootkitHooks[words[0]]
			found := slices.ContainsFunc(n.hooks, func(h Hook) bool {
				named := h.Verdict == Verdict{Kind: Module, Name: words[1]} || strings.Contains(fmt.Sprint(h.Evidence), "module "+words[1])
				odd := h.Suspect || words[0] == "ftrace" || words[0] == "kprobe" || words[0] == "netfilter" // others use these, too
				return slices.Contains(strings.Fields(want.tables), h.Table) && regexp.MustCompile(want.entry).MatchString(h.Entry) && named && odd
			})
			if !found {
				t.Errorf("%s is not found", l)
			}
		}
	})
}

// TestSecurityModules: those that have hooks are those in force, as securityfs lists them.
func TestSecurityModules(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		want := strings.Split(n.lines(t, "kernel", "lsm")[0], ",")
		var got []string
		for _, h := range n.of("lsm") {
			if words := strings.Fields(h.Entry); len(words) == 2 && !slices.Contains(got, words[1]) {
				got = append(got, words[1])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}
