package memory

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// waits says in which system calls a task can be that waits in a function, by what /proc/PID/wchan said.
var waits = map[string][]uint64{
	"__do_sys_pause": {34}, "sys_pause": {34}, "hrtimer_nanosleep": {35, 230}, "do_epoll_wait": {232, 281}, "ep_poll": {232, 281}, "do_wait": {61, 247},
	"futex_wait_queue": {202}, "futex_wait": {202}, "futex_do_wait": {202}, "futex_wait_queue_me": {202}, "inet_csk_accept": {43, 288}, "do_select": {23, 270},
}

// TestRegisters: where a thread waits, its instruction pointer is behind a system call's instruction, and the number is that of
// a call that waits where the kernel said that it does.
func TestRegisters(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		calls, waiting := 0, 0
		for _, p := range n.Tasks {
			mm, err := p.MM()
			if err != nil {
				continue
			}
			for thread, err := range p.Threads(t.Context()) {
				if err != nil || thread.State != 'S' {
					continue
				}
				regs, err := n.r.Registers(thread)
				if errors.Is(err, linux.ErrNone) && strings.HasPrefix(thread.Comm, "iou-") {
					continue
				}
				if err != nil {
					t.Errorf("%v: %v", thread, err)
					continue
				}
				var b [2]byte
				if _, err := mm.ReadVirt(b[:], vmem.VirtAddr(regs.RIP-2)); err == nil {
					if b != [2]byte{0x0f, 0x05} && regs.OrigRAX != math.MaxUint64 { // else it waits in a fault
						t.Errorf("%v: % x before its instruction pointer %#x", thread, b, regs.RIP)
					}
					calls++
				}
				if _, err := mm.Space().Translate(vmem.VirtAddr(regs.RSP)); err != nil {
					t.Errorf("%v: stack pointer: %v", thread, err)
				}
				wchan, _ := n.Read(t, "pid", fmt.Sprint(p.PID), "wchan")
				if want := waits[wchan]; want != nil && thread.Leader() && !moved(p) {
					waiting++
					if !slices.Contains(want, regs.OrigRAX) {
						t.Errorf("%v: in system call %d, waits in %s", thread, regs.OrigRAX, wchan)
					}
				}
			}
		}
		t.Logf("%d threads behind a system call, %d wait as the kernel said", calls, waiting)
		_, told := n.Read(t, "pid", "1", "wchan")
		if told = told && n.K.Symbols().HasField("task_struct", "__state"); told && waiting < 30 || !told && calls < 50 { // 5.10 does not tell where its tasks wait
			t.Errorf("only %d and %d", calls, waiting)
		}
	})
}

// A parsedCore is a core as package debug/elf has it.
type parsedCore struct {
	*elf.File
	notes map[uint32][][]byte
	holes []byte
}

func parseCore(t *testing.T, b []byte) *parsedCore {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := &parsedCore{File: f, notes: map[uint32][][]byte{}}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		for len(data) >= 12 {
			le := binary.LittleEndian
			name, desc, typ := int(le.Uint32(data)), int(le.Uint32(data[4:])), le.Uint32(data[8:])
			at := 12 + (name+3)&^3
			if string(data[12:12+name-1]) == "CORE" {
				c.notes[typ] = append(c.notes[typ], data[at:at+desc])
			} else {
				c.holes = data[at : at+desc]
			}
			data = data[at+(desc+3)&^3:]
		}
	}
	return c
}

// mapsLine is a line of /proc/PID/maps.
var mapsLine = regexp.MustCompile(`^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) ([0-9a-f:]+) \d+ *(.*)$`)

// filesOf returns the mapped files of a process as /proc/PID/maps had them, in the form of the note.
func filesOf(maps string) (lines []string) {
	for line := range strings.Lines(maps) {
		m := mapsLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || m[5] == "00:00" || m[6] == "" {
			continue
		}
		offset, _ := strconv.ParseUint(m[4], 16, 64)
		lines = append(lines, fmt.Sprintf("%s-%s %x %s", m[1], m[2], offset/vmem.PageSize, strings.ReplaceAll(m[6], `\012`, "\n")))
	}
	return lines
}

func filesIn(note []byte) (lines []string) {
	le := binary.LittleEndian
	n := le.Uint64(note)
	names := strings.Split(string(note[16+24*n:]), "\x00")
	for i := range n {
		b := note[16+24*i:]
		lines = append(lines, fmt.Sprintf("%08x-%08x %x %s", le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), names[i]))
	}
	return lines
}

// TestCore compares cores with what /proc said of the auxiliary vector and the mapped files, and with memory.
func TestCore(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		cores, users, texts := 0, 0, 0
		for _, p := range n.Tasks {
			if users++; !testimages.Thorough() && !p.KernelThread && users%4 != 0 {
				continue
			}
			var b bytes.Buffer
			info, err := n.r.WriteCore(t.Context(), &b, p)
			if errors.Is(err, linux.ErrNone) {
				continue
			}
			if err != nil {
				n.Lost(t, err)
				continue
			}
			cores++
			c := parseCore(t, b.Bytes())
			if auxv, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "auxv"); ok && auxv != string(c.notes[ntAuxv][0]) {
				t.Errorf("%v: auxiliary vector % x, truth % x", p, c.notes[ntAuxv][0], auxv)
			}
			if maps, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "maps"); ok && maps != "" {
				if diff := gocmp.Diff(filesOf(maps), filesIn(c.notes[ntFile][0])); diff != "" && !moved(p) {
					t.Errorf("%v: mapped files (-truth +core):\n%s", p, diff)
				}
			}
			if len(c.notes[ntPRStatus]) != info.Threads || len(c.notes[ntPRStatus][0]) != 336 || len(c.notes[ntPRPSInfo][0]) != 136 {
				t.Errorf("%v: notes of %d threads, of %d bytes", p, len(c.notes[ntPRStatus]), len(c.notes[ntPRStatus][0]))
			}
			swapped := uint64(0)
			status, _ := n.Read(t, "pid", fmt.Sprint(p.PID), "status")
			if m := regexp.MustCompile(`(?m)^VmSwap:\s+(\d+) kB$`).FindStringSubmatch(status); m != nil {
				swapped, _ = strconv.ParseUint(m[1], 10, 64)
			}
			compareMemory(t, n, p, c, info, swapped<<10)
			texts += compareTexts(t, n, p, c)
		}
		t.Logf("%d cores, %d with arguments and environment", cores, texts)
		if texts < 5 {
			t.Errorf("only %d with arguments and environment", texts)
		}
		if cores < 15 {
			t.Errorf("only %d", cores)
		}
	})
}

// moved reports whether a process may have mapped files since.
func moved(p *linux.Task) bool { return p.Comm == "labnode" || strings.HasPrefix(p.Comm, "containerd") }

// compareTexts compares what a core has where /proc/PID/stat said that arguments and environment are with what cmdline and environ said, and
// returns 1 if it has all of them. A process that wrote over them shows other arguments.
func compareTexts(t *testing.T, n *node, p *linux.Task, c *parsedCore) int {
	t.Helper()
	stat, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "stat")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if !ok || len(fields) < 49 || p.Comm != "sh" && p.Comm != "bash" && !strings.HasPrefix(p.Comm, "systemd") && !strings.HasPrefix(p.Comm, "edge-") {
		return 0
	}
	all := 1
	for i, name := range []string{"cmdline", "environ"} {
		want, _ := n.Read(t, "pid", fmt.Sprint(p.PID), name)
		start, _ := strconv.ParseUint(fields[45+2*i], 10, 64) // the 48th field is the first behind 47, of which 2 are before these
		end, _ := strconv.ParseUint(fields[46+2*i], 10, 64)
		got, ok := c.memory(start, end)
		if !ok || want == "" {
			all = 0
			continue
		}
		if string(got) != want {
			t.Errorf("%v: %s %q in the core, by /proc %q", p, name, got, want)
		}
	}
	return all
}

// memory returns what a core has of memory, and whether that is all.
func (c *parsedCore) memory(start, end uint64) ([]byte, bool) {
	for _, prog := range c.Progs {
		if prog.Type == elf.PT_LOAD && prog.Vaddr <= start && end <= prog.Vaddr+prog.Filesz && start < end {
			b := make([]byte, end-start)
			_, err := prog.ReadAt(b, int64(start-prog.Vaddr))
			return b, err == nil
		}
	}
	return nil, false
}

// compareMemory compares what a core has of memory with the process's memory, page by page. What it lacks was swapped out, and not to zram.
func compareMemory(t *testing.T, n *node, p *linux.Task, c *parsedCore, info *Core, swapped uint64) {
	t.Helper()
	mm, err := p.MM()
	if err != nil {
		t.Error(err)
		return
	}
	bytesIn := uint64(0)
	got, want := make([]byte, vmem.PageSize), make([]byte, vmem.PageSize)
	for _, prog := range c.Progs {
		if prog.Type != elf.PT_LOAD {
			continue
		}
		bytesIn += prog.Filesz
		for at := uint64(0); at < prog.Filesz; at += vmem.PageSize {
			if _, err := prog.ReadAt(got, int64(at)); err != nil {
				t.Fatal(err)
			}
			if _, err := n.r.ReadVirt(mm, want, vmem.VirtAddr(prog.Vaddr+at)); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v: page at %#x differs: %v", p, prog.Vaddr+at, err)
			}
		}
	}
	zram := strings.HasPrefix(p.Comm, "swap-") && p.Comm != "swap-file"
	if areas, err := n.r.swap(); err == nil {
		zram = zram && len(areas.Gaps()) == 0 // else the types of zram are not known
	}
	if bytesIn != info.Bytes || info.Lost > swapped || zram && info.Lost > 0 {
		t.Errorf("%v: %d bytes of memory, %d written, %d lost", p, bytesIn, info.Bytes, info.Lost)
	}
}

// TestDebugger has gdb and readelf open a core of a process with several threads.
func TestDebugger(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	gdb, err := exec.LookPath("gdb")
	if err != nil {
		t.Skip(err)
	}
	n := nodes.Bundled(t)
	i := slices.IndexFunc(n.Tasks, func(p *linux.Task) bool { return strings.HasPrefix(p.Comm, "containerd") })
	name := filepath.Join(t.TempDir(), "core")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := n.r.WriteCore(t.Context(), f, n.Tasks[i])
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	regs, err := n.r.Registers(n.Tasks[i])
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), gdb, "-nx", "-batch", "-c", name, "-ex", "printf \"%#lx %#lx\\n\", $rip, $rsp", "-ex", "info threads").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := fmt.Sprintf("%#x %#x\n", regs.RIP, regs.RSP)
	if text := string(out); !strings.Contains(text, want) || strings.Count(text, "LWP ") < info.Threads {
		t.Errorf("%d threads, %s; gdb says:\n%s", info.Threads, want, text)
	}
}

// edgeStrings are what the lab's cases of memory wrote, with the names of the processes and of the mappings.
var edgeStrings = []struct{ comm, text, path string }{
	{"edge-areas", "EDGE-AREA", ""}, {"edge-protnone", "EDGE-PROT-NONE", ""}, {"edge-huge", "EDGE-HUGE", ""},
	{"edge-named", "EDGE-SHARED", "/dev/zero (deleted)"}, {"edge-named", "EDGE-MEMFD", "/memfd:edge-mapped (deleted)"},
	{"edge-named", "EDGE-COW", "/var/lib/edge/mapped\nfile (deleted)"},
}

// TestSearch finds what the lab's cases wrote, by bytes and by an expression, where it is and in no other process's own memory.
func TestSearch(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		patterns := []Pattern{{Name: "expression", Expr: regexp.MustCompile(`EDGE-[A-Z-]{3,}\x00`)}}
		for _, e := range edgeStrings {
			patterns = append(patterns, Pattern{Name: e.text, Bytes: append([]byte(e.text), 0)})
		}
		var edges []*linux.Task
		for _, p := range n.Tasks {
			if strings.HasPrefix(p.Comm, "edge-") {
				edges = append(edges, p)
			}
		}
		if len(edges) == 0 {
			t.Skip("it has none of the lab's cases")
		}
		found := map[string]int{}
		for hit, err := range n.r.Search(t.Context(), edges, patterns) {
			if err != nil {
				t.Error(err)
				continue
			}
			if strings.Contains(hit.Mapping.Path, "/edge") && !strings.Contains(hit.Mapping.Path, "memfd") && !strings.Contains(hit.Mapping.Path, "mapped") {
				continue // the program's own constants
			}
			found[fmt.Sprintf("%s %s %s %q", hit.Pattern.Name, hit.Task.Comm, hit.Mapping.Path, hit.Data)]++
		}
		for _, e := range edgeStrings {
			text := e.text + "\x00"
			for _, name := range []string{e.text, "expression"} {
				key := fmt.Sprintf("%s %s %s %q", name, e.comm, e.path, text)
				want := 1
				if e.text == "EDGE-AREA" {
					want = 10
				}
				if found[key] != want {
					t.Errorf("%s: found %d times, want %d (%v)", key, found[key], want, found)
				}
			}
		}
	})
}

// TestSearchPieces compares searches of memory in pieces with those of the whole.
func TestSearchPieces(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	p := n.Tasks[0]
	expr := regexp.MustCompile(`[a-z]{4,12}=[a-z]+`)
	var got, want []string
	for hit, err := range n.r.Search(t.Context(), []*linux.Task{p}, []Pattern{{Expr: expr}, {Bytes: []byte("lib")}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%v %q", hit.Address, hit.Data))
	}
	mm, err := p.MM()
	if err != nil {
		t.Fatal(err)
	}
	segments, _, err := n.r.Segments(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range segments {
		for _, run := range merged(segments[i].Runs) {
			b := make([]byte, run.Range.Size)
			if _, err := mm.ReadVirt(b, run.Range.Start); err != nil {
				t.Fatal(err)
			}
			for _, m := range expr.FindAllIndex(b, -1) {
				want = append(want, fmt.Sprintf("%v %q", run.Range.Start+vmem.VirtAddr(m[0]), b[m[0]:m[1]]))
			}
			for at := 0; ; at++ {
				k := bytes.Index(b[at:], []byte("lib"))
				if k < 0 {
					break
				}
				at += k
				want = append(want, fmt.Sprintf("%v %q", run.Range.Start+vmem.VirtAddr(at), "lib"))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" || len(want) < 100 {
		t.Errorf("%d matches (-whole +pieces):\n%s", len(want), diff)
	}
}

// programsInMemory returns how many processes ran a program that is a memfd, by /proc.
func programsInMemory(t *testing.T, n *node) (count int) {
	t.Helper()
	for _, p := range n.Tasks {
		if exe, _ := n.Read(t, "pid", fmt.Sprint(p.PID), "exe"); strings.HasPrefix(exe, "/memfd:") {
			count++
		}
	}
	return count
}

// executablePages returns where the lab's cases made memory that can be written and executed, by PID and address.
func executablePages(t *testing.T, n *node) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	text, _ := n.Read(t, "task", "told", "pages")
	for line := range strings.Lines(text) {
		if w := strings.Fields(line); w[3] == "executable" {
			all[w[0]+" "+w[1]] = true
		}
	}
	return all
}

// TestSuspicious: the lab's intruder is found by all that it does; programs that do nothing of the kind are not.
func TestSuspicious(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		intruders, told := 0, executablePages(t, n)
		for _, p := range n.Tasks {
			found, gaps, err := n.r.Suspicious(t.Context(), p)
			if errors.Is(err, linux.ErrNone) {
				continue
			}
			if err != nil {
				n.Lost(t, err)
			}
			for _, g := range gaps {
				n.Lost(t, g)
			}
			var kinds []string
			for _, f := range found {
				kinds = append(kinds, fmt.Sprintf("%s %s %s", f.Kind, f.Level, f.Path))
			}
			switch intruder := strings.HasPrefix(p.Comm, "kworker/") && !p.KernelThread; {
			case intruder:
				intruders++
				want := []string{"gone-program high /memfd:", "gone-code high /memfd:", "writable-code high"}
				for _, w := range want {
					if !slices.ContainsFunc(kinds, func(k string) bool { return strings.HasPrefix(k, w) }) {
						t.Errorf("%v: no %s among %q", p, w, kinds)
					}
				}
			default:
				for _, f := range found {
					place := fmt.Sprintf("%d %x", f.PID, uint64(f.Address))
					if f.Level == High && (f.Kind != WritableCode || !told[place]) {
						t.Errorf("%v: %+v", p, f)
					}
					if f.Kind == WritableCode {
						delete(told, place)
					}
				}
			}
		}
		if want := programsInMemory(t, n); intruders != want {
			t.Errorf("%d intruders of %d", intruders, want)
		}
		if len(told) > 0 {
			t.Errorf("not found: memory that can be written and executed at %v", told)
		}
	})
}
