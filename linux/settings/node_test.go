package settings

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// A node is a booted node, and what was read of it.
type node struct {
	*nodetest.Node
	out  *Settings
	gaps []vmem.Gap
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) {
	out, gaps, err := Read(context.Background(), n.K, &Options{Tasks: n.Tasks})
	return &node{n, out, gaps}, err
}}

// file reads a file of the truth, without the newline at its end.
func (n *node) file(t *testing.T, name ...string) string {
	t.Helper()
	text, _ := n.Read(t, name...)
	return strings.TrimSuffix(text, "\n")
}

// TestSettings compares what was read with what /proc and /sys said.
func TestSettings(t *testing.T) {
	nodes.Each(t, func(t *testing.T, n *node) {
		_, err := n.K.Symbol("tainted_mask")
		named := err == nil // where kallsyms has code alone, a gap tells of each variable that nothing else leads to
		lost := map[string]bool{}
		for _, g := range n.gaps {
			if lost[g.Object] = true; named || !errors.Is(g.Err, kstruct.ErrUnsupported) {
				t.Error(g)
			}
		}
		if want := n.file(t, "proc", "cmdline"); want != "" && want != n.out.CommandLine.Value {
			diff := cmp.Diff(want, n.out.CommandLine.Value)
			t.Errorf("command line (-truth +found):\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(n.Truth, "kernel")); err != nil {
			return // it has no more
		}
		checkSysctls(t, n)
		if !lost["binfmt_misc"] {
			checkMisc(t, n)
		}
		if diff := cmp.Diff(n.file(t, "kernel", "lsm"), strings.Join(n.out.LSMs, ",")); diff != "" && !lost["security modules"] {
			t.Errorf("security modules (-truth +found):\n%s", diff)
		}
		if want := n.file(t, "kernel", "lockdown"); want != "" && !lost["lockdown"] && !strings.Contains(want, "["+n.out.Lockdown+"]") {
			t.Errorf("lockdown is %s, found %q", want, n.out.Lockdown)
		}
		if want := n.file(t, "kernel", "clocksource"); want != n.out.ClockSource && !lost["clock source"] {
			t.Errorf("clock source is %s, found %q", want, n.out.ClockSource)
		}
		for name, found := range map[string]vmem.VirtAddr{"kexec_loaded": n.out.KexecImage, "kexec_crash_loaded": n.out.KexecCrash} {
			if want := n.file(t, "kernel", name); want != "" && !lost["kexec"] && (want == "1") != (found != 0) {
				t.Errorf("%s is %s, found %v", name, want, found)
			}
		}
		for name, found := range map[string]string{
			"core_pattern": n.out.CorePattern.Value, "modprobe": n.out.ModprobePath.Value, "poweroff_cmd": n.out.PoweroffCmd.Value,
			"tainted": strconv.FormatUint(n.out.Taint.Value, 10),
		} {
			if want := sysctlsOf(t, n)["kernel/"+name]; want != found {
				t.Errorf("%s is %q, found %q", name, want, found)
			}
		}
		checkConfiguration(t, n)
	})
}

func checkConfiguration(t *testing.T, n *node) {
	t.Helper()
	f, err := os.Open(filepath.Join(n.Truth, "kernel", "config.gz"))
	if errors.Is(err, os.ErrNotExist) {
		if n.out.Configuration != "" {
			t.Errorf("a configuration of %d bytes, which the kernel does not have", len(n.out.Configuration))
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), n.out.Configuration); diff != "" {
		t.Errorf("configuration (-truth +found):\n%s", diff)
	}
}

// sysctlsOf returns the sysctls of the truth.
func sysctlsOf(t *testing.T, n *node) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(n.file(t, "kernel", "sysctl")) {
		line = strings.TrimSuffix(line, "\n")
		if name, value, ok := strings.Cut(line, " = "); ok {
			all[name] = strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(value)
		} else if name, _, ok := strings.Cut(line, " ! "); ok {
			all[name] = "!"
		}
	}
	return all
}

// checkSysctls compares all sysctls of the kernel and of the initial namespaces, in both directions.
func checkSysctls(t *testing.T, n *node) {
	t.Helper()
	want := sysctlsOf(t, n)
	compared, unknown := 0, map[string]int{}
	for i := range n.out.Sysctls {
		s := &n.out.Sysctls[i]
		if s.Namespace != "" || s.Mode&readable == 0 {
			continue
		}
		value, ok := want[s.Name]
		delete(want, s.Name)
		switch {
		case !ok:
			t.Errorf("%s is found, and not there", s.Name)
		case s.Value == nil && value == "!":
			compared++
		case s.Value == nil:
			unknown[s.Handler]++
			if s.Reason == "" {
				t.Errorf("%s has no value, and it is not said why", s.Name)
			}
		case value == "!" || value != *s.Value && !moves.MatchString(s.Name):
			t.Errorf("%s by %s is %q, found %q", s.Name, s.Handler, value, *s.Value)
		default:
			compared++
		}
	}
	for name := range want {
		t.Errorf("%s is not found", name)
	}
	t.Logf("%d compared; shown by others: %v", compared, unknown)
	if compared < 900 {
		t.Errorf("%d compared", compared)
	}
}

// moves are what changes from one moment to the next.
var moves = regexp.MustCompile(`^kernel/(random/entropy_avail|sched_domain/.*/max_newidle_lb_cost)$|^net/netfilter/nf_conntrack_count$`)

// checkMisc compares the formats of binfmt_misc with their files.
func checkMisc(t *testing.T, n *node) {
	t.Helper()
	dir := filepath.Join(n.Truth, "kernel", "binfmt_misc")
	files, err := os.ReadDir(dir)
	if err != nil {
		return // not mounted
	}
	want, got := map[string]string{}, map[string]string{}
	for _, f := range files {
		if f.Name() != "status" && f.Name() != "register" {
			want[f.Name()] = n.file(t, "kernel", "binfmt_misc", f.Name())
		}
	}
	for _, f := range n.out.BinfmtMisc {
		got[f.Name] = statusOf(&f)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("binfmt_misc (-truth +found):\n%s", diff)
	}
}

// statusOf returns what the file of a format shows.
func statusOf(f *MiscFormat) string {
	status := "disabled"
	if f.Enabled {
		status = "enabled"
	}
	lines := []string{status, "interpreter " + f.Interpreter, "flags: " + f.Flags}
	if f.Magic == "" {
		return strings.Join(append(lines, "extension ."+f.Extension), "\n")
	}
	lines = append(lines, "offset "+strconv.Itoa(int(f.Offset)), "magic "+f.Magic)
	if f.Mask != "" {
		lines = append(lines, "mask "+f.Mask)
	}
	return strings.Join(lines, "\n")
}

// TestBits shows the ranges of bitmaps.
func TestBits(t *testing.T) {
	for want, hexadecimal := range map[string]string{"": "0000", "0": "0100", "1-3,7-8,15": "8e81", "0-15": "ffff"} {
		b, err := hex.DecodeString(hexadecimal)
		if err != nil {
			t.Fatal(err)
		}
		if got := bitRanges(b, 16); got != want {
			t.Errorf("%s is %q, want %q", hexadecimal, got, want)
		}
	}
}

// withoutData returns the symbols of a kernel whose kallsyms has none of data, as far as settings have some.
func withoutData(t *testing.T, f *isf.File) *isf.File {
	t.Helper()
	drop := map[string]bool{}
	for _, name := range []string{
		"sysctl_table_root", "saved_command_line", "core_pattern", "modprobe_path", "poweroff_cmd", "uevent_helper", "tainted_mask", "kernel_locked_down", "lsm_names",
		"lsm_idlist", "curr_clocksource", "kexec_image", "kexec_crash_image", "klp_patches", "formats", "entries", "kernel_config_data", "max_threads", "sysrq_enabled",
		"default_qdisc_ops", "seccomp_actions_logged",
	} {
		drop[name] = true
	}
	c := isf.Contents{Metadata: f.Metadata()}
	for b := range f.BaseTypes() {
		c.Bases = append(c.Bases, *b)
	}
	for u := range f.UserTypes() {
		c.Types = append(c.Types, *u)
	}
	for e := range f.Enums() {
		c.Enums = append(c.Enums, *e)
	}
	for s := range f.Symbols() {
		if !drop[s.Name] {
			c.Symbols = append(c.Symbols, *s)
		}
	}
	out, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWithoutDataSymbols finds the same where no symbol leads to it, and tells what it does not.
func TestWithoutDataSymbols(t *testing.T) {
	n := nodes.Bundled(t)
	k, err := linux.Open(t.Context(), n.Mem, &linux.Options{Symbols: withoutData(t, n.K.Symbols())})
	if err != nil {
		t.Fatal(err)
	}
	got, gaps, err := Read(t.Context(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, s := range n.out.Sysctls {
		if s.Namespace == "" && s.Value != nil {
			want[s.Name] = *s.Value
		}
	}
	same := 0
	for _, s := range got.Sysctls {
		value, ok := want[s.Name]
		switch {
		case s.Value == nil:
		case !ok || value != *s.Value:
			t.Errorf("%s is %q, without symbols %q", s.Name, value, *s.Value)
		default:
			same++
		}
	}
	if same < len(want)-8 || same < 500 {
		t.Errorf("%d of %d sysctls", same, len(want))
	}
	for name, pair := range map[string][2]Text{
		"core pattern": {n.out.CorePattern, got.CorePattern}, "modprobe": {n.out.ModprobePath, got.ModprobePath}, "poweroff": {n.out.PoweroffCmd, got.PoweroffCmd},
	} {
		if pair[0] != pair[1] || pair[0].Value == "" {
			t.Errorf("%s is %v, without symbols %v", name, pair[0], pair[1])
		}
	}
	if diff := cmp.Diff(n.out.Taint, got.Taint); diff != "" || got.CommandLine.Value != n.out.CommandLine.Value {
		t.Errorf("command line %q, taint (-with symbols +without):\n%s", got.CommandLine.Value, diff)
	}
	lost := map[string]bool{}
	for _, g := range gaps {
		lost[g.Object] = g.Reason() == "unsupported"
	}
	if want := map[string]bool{"security modules": true, "lockdown": true, "clock source": true, "kexec": true, "livepatches": true, "binary formats": true}; !cmp.Equal(want, lost) {
		t.Errorf("lost: %v", gaps)
	}
}
