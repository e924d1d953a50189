package integrity

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A tampered is the memory of a node with changes in it.
type tampered struct {
	*smeartest.Memory
	n *node
}

// put changes what is at an address.
func (p *tampered) put(t *testing.T, at vmem.VirtAddr, b []byte) {
	t.Helper()
	m, err := p.n.K.Space().Translate(at)
	if err != nil {
		t.Fatal(err)
	}
	p.Write(m.At(at), b)
}

func (p *tampered) pointer(t *testing.T, at, value vmem.VirtAddr) {
	t.Helper()
	p.put(t, at, binary.LittleEndian.AppendUint64(nil, uint64(value)))
}

// leap puts a call or a jump to an address somewhere.
func (p *tampered) leap(t *testing.T, op byte, at, to vmem.VirtAddr) {
	t.Helper()
	p.put(t, at, binary.LittleEndian.AppendUint32([]byte{op}, uint32(to-at-5)))
}

func symbol(t *testing.T, n *node, name string) vmem.VirtAddr {
	t.Helper()
	at, ok := n.c.symbolOf(name)
	if !ok {
		t.Fatalf("no %s", name)
	}
	return at
}

// TestTampered changes tables and code of the bundled node in the ways that rootkits do. Each change is found, with what is called and whose it
// is, and nothing else is.
func TestTampered(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	p := &tampered{smeartest.New(n.Mem), n}
	m := n.c.modules.Find("vsock")
	data := m.Areas[slices.IndexFunc(m.Areas, func(a module.Area) bool { return a.Kind == module.Data })].Range.Start
	code := m.Base + 0x10
	table := symbol(t, n, "sys_call_table")

	p.pointer(t, table+8*62, data)                                 // kill
	p.pointer(t, table+8*64, code)                                 // semget
	p.pointer(t, table+8*65, symbol(t, n, "__x64_sys_getpid"))     // semop
	p.pointer(t, table+8*66, symbol(t, n, "__x64_sys_semctl")+0x5) // semctl

	idt := n.of("idt")[13].Address
	p.put(t, idt, binary.LittleEndian.AppendUint16(nil, uint16(code)))
	p.put(t, idt+6, binary.LittleEndian.AppendUint16(nil, uint16(code>>16)))
	p.put(t, idt+8, binary.LittleEndian.AppendUint32(nil, uint32(code>>32)))

	p.leap(t, 0xe9, symbol(t, n, "__x64_sys_setuid"), code) // where the tracer would be called
	p.put(t, symbol(t, n, "__x64_sys_setgid")+5, []byte{0xcc})
	p.put(t, symbol(t, n, "__x64_sys_mount")+5, append(binary.LittleEndian.AppendUint64([]byte{0x48, 0xb8}, uint64(data)), 0xff, 0xe0))
	push := append(binary.LittleEndian.AppendUint32([]byte{0x68}, uint32(code)), 0xc3)
	p.put(t, symbol(t, n, "__x64_sys_setregid")+5, push)

	f, err := n.c.function("x64_sys_call")
	if err != nil {
		t.Fatal(err)
	}
	to, err := n.c.machine(f).run(39)
	if err != nil {
		t.Fatal(err)
	}
	op, _ := n.K.Space().Uint8(to.at)
	p.leap(t, op, to.at, code) // getpid
	enter, _ := n.c.function("do_syscall_64")
	enter.each(func(in *inst) bool {
		if to, ok := in.target(); ok && to == f.at {
			p.leap(t, 0xe8, in.at, code)
		}
		return true
	})

	for table, entry := range map[string]string{"proc": "net/tcp show", "lsm": "file_open apparmor"} {
		hooks := n.of(table)
		p.pointer(t, hooks[slices.IndexFunc(hooks, func(h Hook) bool { return h.Entry == entry })].Address, code)
	}

	got := p.differences(t)
	want := []string{
		"syscall_entry do_syscall_64 calls SYMBOL: module vsock",
		"x64_sys_call 39 getpid: module vsock",
		"x64_sys_call 105 setuid: kernel", "x64_sys_call 106 setgid: kernel", "x64_sys_call 114 setregid: kernel", "x64_sys_call 165 mount: kernel",
		"sys_call_table 62 kill: unknown", "sys_call_table 64 semget: module vsock", "sys_call_table 65 semop: kernel", "sys_call_table 66 semctl: kernel",
		"sys_call_table 105 setuid: kernel", "sys_call_table 106 setgid: kernel", "sys_call_table 114 setregid: kernel", "sys_call_table 165 mount: kernel",
		"idt 13 #GP: module vsock",
		"ftrace __x64_sys_setuid: module vsock",
		"proc net/tcp show: module vsock",
		"lsm file_open apparmor: module vsock",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +found)\n%s", diff)
	}
}

// differences returns what of the changed memory is suspect: what was found in the memory as it was belongs.
func (p *tampered) differences(t *testing.T) (found []string) {
	t.Helper()
	k, err := linux.Open(t.Context(), p, &linux.Options{Symbols: p.n.K.Symbols()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	hooks, gaps := all(t.Context(), c)
	for _, err := range gaps {
		t.Error(err)
	}
	for _, h := range hooks {
		if !h.Suspect {
			continue
		}
		if len(h.Evidence) == 0 {
			t.Errorf("no evidence: %v", h)
		}
		entry := h.Entry
		if rest, _, ok := strings.Cut(entry, " calls "); ok {
			entry = rest + " calls SYMBOL"
		}
		found = append(found, h.Table+" "+entry+": "+h.Verdict.String())
	}
	return found
}

// textOnly returns symbols without those of data that are not exported, as kallsyms has them without CONFIG_KALLSYMS_ALL.
func textOnly(t *testing.T, n *node) *isf.File {
	t.Helper()
	f := n.K.Symbols()
	c := isf.Contents{Metadata: f.Metadata()}
	objects := []string{"die_chain", "irq_desc_tree", "sparse_irqs", "workqueues", "ptype_all", "ptype_base", "timer_bases"}
	for _, g := range registries {
		objects = append(objects, g.variable, g.older)
	}
	for _, s := range singles {
		objects = append(objects, s.variable)
	}
	for s := range f.Symbols() {
		hidden := slices.Contains([]string{"sys_call_table", "ia32_sys_call_table", "idt_table", "ftrace_ops_list", "ftrace_pages_start", "direct_functions", "kprobe_table", "uprobes_tree",
			"dyn_event_list", "ftrace_events", "__start___tracepoints_ptrs", "__stop___tracepoints_ptrs", "kprobe_insn_slots", "kprobe_optinsn_slots"}, s.Name)
		hidden = hidden || slices.Contains(objects, s.Name)
		if !hidden {
			c.Symbols = append(c.Symbols, *s)
		}
	}
	for u := range f.UserTypes() {
		c.Types = append(c.Types, *u)
	}
	for b := range f.BaseTypes() {
		c.Bases = append(c.Bases, *b)
	}
	for e := range f.Enums() {
		c.Enums = append(c.Enums, *e)
	}
	less, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return less
}

// TestTextOnly reads nodes with the symbols of code alone: the tables are found by the code that uses them, with the same hooks, or a gap
// says that they are not.
func TestTextOnly(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		k, err := linux.Open(t.Context(), n.Mem, &linux.Options{Symbols: textOnly(t, n)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), k, &Options{Modules: n.c.modules})
		if err != nil {
			t.Fatal(err)
		}
		hooks, gaps := all(t.Context(), c)
		var lost strings.Builder
		for _, err := range gaps {
			if !errors.Is(err, kstruct.ErrUnsupported) {
				n.Lost(t, err)
			}
			lost.WriteString(err.Error() + "\n")
		}
		why := map[string]string{} // the variables of tables that the gaps name
		for _, g := range registries {
			if strings.Contains(lost.String(), g.variable+" ") {
				why[g.table] = g.variable
			}
		}
		for _, s := range singles {
			if strings.Contains(lost.String(), s.variable+" ") {
				why[s.table] = s.variable
			}
		}
		count := func(hooks []Hook) map[string]int {
			sum := map[string]int{}
			for _, h := range hooks {
				sum[h.Table]++
			}
			return sum
		}
		got := count(hooks)
		for table, want := range count(n.hooks) {
			tellsWhy := why[table]
			if tellsWhy == "" {
				tellsWhy = map[string]string{"uprobes": "uprobes_tree", "kprobe_events": "dyn_event_list", "uprobe_events": "dyn_event_list", "perf_events": "ftrace_events",
					PerfHandlerTable: "events of perf", TimerTable: "timer_bases", WorkTable: "timer_bases"}[table]
			}
			switch {
			case got[table] == want, tellsWhy != "" && strings.Contains(lost.String(), tellsWhy):
			case table == "sys_call_table" && len(n.of("x64_sys_call")) > 0: // no call goes through it
			default:
				t.Errorf("%s: %d of %d; lost:\n%s", table, got[table], want, lost.String())
			}
		}
	})
}

// newMemory returns the memory of a node, to be changed.
func newMemory(n *node) *smeartest.Memory { return smeartest.New(n.Mem) }
