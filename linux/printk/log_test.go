package printk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

var nodes = nodetest.Set[*nodetest.Node]{Make: func(n *nodetest.Node) (*nodetest.Node, error) { return n, nil }}

// read returns all records and gaps.
func read(t testing.TB, k *linux.Kernel) (records []*Record, gaps []error) {
	t.Helper()
	for r, err := range Records(t.Context(), k) {
		if err != nil {
			gaps = append(gaps, err)
			continue
		}
		records = append(records, r)
	}
	return records, gaps
}

// raw returns a record as dmesg -r shows it: each line with its priority and time.
func raw(r *Record) string {
	prefix := fmt.Sprintf("<%d>[%5d.%06d] ", int(r.Facility)<<3|int(r.Level), r.Time/1e9, r.Time%1e9/1e3)
	return prefix + strings.ReplaceAll(r.Text, "\n", "\n"+prefix) + "\n"
}

// plain returns a record as dmesg shows it without more: the lines after the first are indented.
func plain(r *Record) string {
	prefix := fmt.Sprintf("[%5d.%06d] ", r.Time/1e9, r.Time%1e9/1e3)
	return prefix + strings.ReplaceAll(r.Text, "\n", "\n"+strings.Repeat(" ", len(prefix))) + "\n"
}

// TestDmesg compares the whole log with what dmesg said. Records that came after that are newer.
func TestDmesg(t *testing.T) {
	nodes.Each(t, testDmesg)
}

func testDmesg(t *testing.T, n *nodetest.Node) {
	b, err := os.ReadFile(filepath.Join(n.Truth, "dmesg"))
	if err != nil {
		t.Fatal(err)
	}
	records, gaps := read(t, n.K)
	if len(gaps) > 0 {
		t.Error(gaps)
	}
	line := raw
	if !strings.HasPrefix(string(b), "<") { // dmesg was not asked for the raw form
		line = plain
	}
	var got strings.Builder
	for i, r := range records {
		if i > 0 && r.Sequence != records[i-1].Sequence+1 {
			t.Errorf("record %d after %d", r.Sequence, records[i-1].Sequence)
		}
		if got.Len() < len(b) {
			got.WriteString(line(r))
		} else if last := records[i-1]; r.Time < last.Time {
			t.Errorf("record %d is older than the one before it", r.Sequence)
		}
	}
	if diff := cmp.Diff(string(b), got.String()); diff != "" || len(records) < 100 {
		t.Errorf("%d records (-truth +found)\n%s", len(records), diff)
	}
}

// TestFields: a record of a device says which, and one of a CPU or a task says so.
func TestFields(t *testing.T) {
	records, _ := read(t, nodes.Bundled(t).K)
	devices, tasks := 0, 0
	for _, r := range records {
		if d := r.Dictionary["DEVICE"]; d != "" {
			devices++
			if !strings.HasPrefix(d, "+") && !strings.HasPrefix(d, "c") && !strings.HasPrefix(d, "b") && !strings.HasPrefix(d, "n") {
				t.Errorf("device %q", d)
			}
			if r.Dictionary["SUBSYSTEM"] == "" {
				t.Errorf("device %q of no subsystem", d)
			}
		}
		if _, ok := r.Caller.CPU(); !ok {
			tasks++
		}
	}
	if devices < 10 || tasks < 100 {
		t.Errorf("%d of devices, %d of tasks", devices, tasks)
	}
	b, err := json.Marshal(records[0])
	want := `{"sequence":0,"seconds":0.000000000,"facility":"kern","level":"notice","caller":"T0","text":"Linux version `
	if err != nil || !strings.HasPrefix(string(b), want) || !strings.HasSuffix(string(b), `,"dictionary":{}}`) {
		t.Errorf("%s, %v", b, err)
	}
	var back Time
	if err := json.Unmarshal([]byte("12.345678901"), &back); err != nil || back != 12345678901 {
		t.Errorf("%d, %v", back, err)
	}
	if got := (&Record{Time: 1234567890, Facility: 3, Level: 6, Text: "one\ntwo"}).String(); got != "daemon:info  : [    1.234567] one\ndaemon:info  : [    1.234567] two" {
		t.Errorf("%q", got)
	}
}

// TestNames: each value is read back from its name, and nothing else is a name.
func TestNames(t *testing.T) {
	for n := range 256 {
		f, l := Facility(n), Level(n)
		if err := f.UnmarshalText([]byte(f.String())); err != nil || f != Facility(n) {
			t.Errorf("facility %d is read back as %d: %v", n, f, err)
		}
		if err := l.UnmarshalText([]byte(l.String())); err != nil || l != Level(n) {
			t.Errorf("level %d is read back as %d: %v", n, l, err)
		}
	}
	for _, want := range []Caller{0, 1, 1<<31 - 1, 1 << 31, 1<<31 | 255} {
		var got Caller
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%v is read back as %v: %v", want, got, err)
		}
	}
	for _, text := range []string{"", "0", "KERN", "T", "X1", "T2147483648", "256", "-1"} {
		if new(Facility).UnmarshalText([]byte(text)) == nil || new(Level).UnmarshalText([]byte(text)) == nil || new(Caller).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// damaged returns the kernel of the bundled node with the ring changed by a test.
func damaged(t *testing.T, change func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log)) *linux.Kernel {
	t.Helper()
	n := nodes.Bundled(t)
	l, err := open(n.K)
	if err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(n.Mem)
	change(m, func(a vmem.VirtAddr) vmem.PhysAddr {
		at, err := n.K.Space().Translate(a)
		if err != nil {
			t.Fatal(err)
		}
		return at.At(a)
	}, l)
	k, err := linux.Open(t.Context(), m, &linux.Options{Symbols: n.K.Symbols()})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestDamage: what is damaged of one record costs that record, and is told.
func TestDamage(t *testing.T) {
	whole, _ := read(t, nodes.Bundled(t).K)
	at := func(l *log, i int) vmem.VirtAddr { return l.ring.Descs + vmem.VirtAddr(uint64(i)*l.desc.Size()) }
	for name, test := range map[string]struct {
		change func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log)
		lost   int
		gaps   int
	}{
		"a descriptor of another record": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			m.PutUint64(phys(at(l, 5)), finalized<<stateShift|0x123)
		}, 1, 1},
		"no positions": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			m.PutUint64(phys(at(l, 6)+8), 0x123456)
		}, 1, 1},
		"the text of another": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			m.PutUint64(phys(l.ring.Data), 0x77)
		}, 1, 1},
		"a writer": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			m.PutUint64(phys(at(l, 7)), (1<<32-1<<l.ring.CountBits)|7) // reserved for this record, of those since the start
		}, 1, 0},
		"zeros": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			m.PutUint64(phys(at(l, 7)), 0)
		}, 1, 1},
		"the wrong end": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			off, _ := l.views.ring.Offset("Tail")
			m.PutUint64(phys(l.at+vmem.VirtAddr(off)), 0x1234)
		}, 0, 1},
		"no ring": {func(m *smeartest.Memory, phys func(vmem.VirtAddr) vmem.PhysAddr, l *log) {
			off, _ := l.views.ring.Offset("CountBits")
			m.PutUint64(phys(l.at+vmem.VirtAddr(off)), 60)
		}, len(whole), 1},
	} {
		records, gaps := read(t, damaged(t, test.change))
		if len(records) != len(whole)-test.lost || len(gaps) != test.gaps {
			t.Errorf("%s: %d of %d records, %v", name, len(records), len(whole), gaps)
		}
		for _, err := range gaps {
			if _, ok := errors.AsType[vmem.Gap](err); !ok || !errors.Is(err, kstruct.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestUnsupported: without prb there is an error, and no empty log.
func TestUnsupported(t *testing.T) {
	empty, err := isf.New(isf.Contents{})
	if err != nil {
		t.Fatal(err)
	}
	if v := bind(empty); !errors.Is(v.err, kstruct.ErrUnsupported) {
		t.Error(v.err)
	}
}

// TestEnds: the context ends the walk.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range Records(ctx, nodes.Bundled(t).K) {
		if n++; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	if n != 2 {
		t.Errorf("%d steps", n)
	}
}
