package truth

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Kernel is what the node said of its kernel and of itself as a whole.
type Kernel struct {
	Banner   string // /proc/version, without the newline
	Hostname string // sysctl kernel.hostname, or what systemd logged that it set

	// Of the start of the kernel's text: its address (_text of /proc/kallsyms) and where
	// that is in physical memory ("Kernel code" of /proc/iomem).
	TextVirt, TextPhys uint64

	// Boot is when the node was booted, and BootWithin how far off that may be:
	// milliseconds where the collector read the clocks, one after the other; a second
	// or two where the kernel logged that it set its clock; or many, where it must be
	// taken from the first line that containerd logged.
	Boot       time.Time
	BootWithin time.Duration
}

var (
	versionLine  = regexp.MustCompile(`(?m)^Linux version .*$`)
	hostnameLine = regexp.MustCompile(`(?m)^kernel\.hostname = (.*)$|systemd\[1\]: Hostname set to <(.*)>\.$`)
	codeLine     = regexp.MustCompile(`(?m)^ *([0-9a-f]+)-[0-9a-f]+ : Kernel code$`)
	clockLine    = regexp.MustCompile(`(?m)\[ *([0-9.]+)\] .*setting system clock to .*\(([0-9]+)\)$`)
	logLine      = regexp.MustCompile(`^time="([^"]+)"`)
)

// readKernel reads what there is of these.
func (n *Node) readKernel(dir string) error {
	f := &folder{dir: dir}
	n.Kernel = Kernel{
		Banner:   versionLine.FindString(f.read("proc/version") + f.read("version")),
		Hostname: f.line("proc/sys/kernel/hostname"),
	}
	for _, name := range []string{"sysctl", "dmesg"} {
		if m := hostnameLine.FindStringSubmatch(f.read(name)); m != nil && n.Kernel.Hostname == "" {
			n.Kernel.Hostname = m[1] + m[2]
		}
	}
	if m := codeLine.FindStringSubmatch(f.read("proc/iomem")); m != nil {
		n.Kernel.TextPhys = f.hex(m[1])
	}
	n.Kernel.TextVirt = f.symbol("_text")
	n.readTimes(f)
	return f.err
}

func (f *folder) hex(s string) uint64 {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil && f.err == nil {
		f.err = err
	}
	return v
}

// symbol returns the address that /proc/kallsyms gives to a symbol, and 0 without it.
func (f *folder) symbol(name string) uint64 {
	file, err := os.Open(filepath.Join(f.dir, "proc", "kallsyms"))
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 && words[2] == name {
			return f.hex(words[0])
		}
	}
	return 0
}

// readTimes takes Until and the boot time from the clocks, which the collector reads at
// its end if it reads them; or else from the uptime at its begin, and from logs.
func (n *Node) readTimes(f *folder) {
	if text := f.read("clock"); text != "" {
		clocks := map[string]int64{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			clocks[name] = f.number(value)
		}
		n.Until = clocks["boottime"] / int64(time.Second/TicksPerSecond)
		n.Kernel.boot(time.Unix(0, clocks["realtime"]-clocks["boottime"]), 10*time.Millisecond)
		return
	}
	up, _, _ := strings.Cut(f.read("proc/uptime"), " ")
	whole, part, _ := strings.Cut(up, ".") // hundredths of a second, as ticks are
	n.Until = f.number(whole)*TicksPerSecond + f.number(part)
	if m := clockLine.FindStringSubmatch(f.read("dmesg")); m != nil {
		n.Kernel.boot(time.Unix(f.number(m[2]), 0).Add(-f.seconds(m[1])), 1500*time.Millisecond)
		return
	}
	if m := logLine.FindStringSubmatch(f.read("containerd.log")); m != nil {
		n.Kernel.boot(f.time(m[1]).Add(-n.startOf("containerd")), 10*time.Second)
	}
}

func (k *Kernel) boot(at time.Time, within time.Duration) { k.Boot, k.BootWithin = at.UTC(), within }

// startOf returns when the first process of that name started, after boot.
func (n *Node) startOf(comm string) time.Duration {
	for _, p := range n.Processes {
		if p.Comm == comm {
			return time.Duration(p.StartTicks) * time.Second / TicksPerSecond
		}
	}
	return 0
}

func (f *folder) seconds(s string) time.Duration {
	d, err := time.ParseDuration(s + "s")
	if err != nil && f.err == nil {
		f.err = err
	}
	return d
}

func (f *folder) time(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil && f.err == nil {
		f.err = err
	}
	return at
}
