package printk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// A Record is one record of the kernel log.
type Record struct {
	Sequence   uint64            `json:"sequence"` // counts all records since boot, from 0
	Time       Time              `json:"seconds"`
	Facility   Facility          `json:"facility"`
	Level      Level             `json:"level"`
	Caller     Caller            `json:"caller"`
	Comm       string            `json:"comm,omitempty"` // of the task that wrote it; since 6.18, CONFIG_PRINTK_EXECUTION_CTX
	Text       string            `json:"text"`           // the bytes that were written, which may be several lines
	Dictionary map[string]string `json:"dictionary"`     // SUBSYSTEM and DEVICE of the device that it is of; empty for most
	Continues  bool              `json:"continues,omitempty"`
}

// String returns the record as dmesg -x shows it, each line with its prefix.
func (r *Record) String() string {
	prefix := fmt.Sprintf("%-6s:%-6s: [%5d.%06d] ", r.Facility, r.Level, r.Time/1e9, r.Time%1e9/1e3)
	return prefix + strings.ReplaceAll(r.Text, "\n", "\n"+prefix)
}

// A Time is when a record was written: nanoseconds since boot by the local clock of the CPU, without time in
// suspend (local_clock of kernel/sched/clock.c).
type Time uint64

var _ = jsonx.Describe[Time, float64]()

// MarshalJSON returns seconds with nine decimals.
func (t Time) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%d.%09d", t/1e9, t%1e9), nil }

// UnmarshalJSON takes what MarshalJSON gives.
func (t *Time) UnmarshalJSON(b []byte) error {
	whole, part, _ := strings.Cut(string(b), ".")
	seconds, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return err
	}
	nanoseconds, err := strconv.ParseUint((part + "000000000")[:9], 10, 64)
	*t = Time(seconds*1e9 + nanoseconds)
	return err
}

// A Facility says what wrote a record: the kernel, or a program by /dev/kmsg in the name of a
// facility of syslog.
type Facility uint8

var facilityNames = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"res0", "res1", "res2", "res3", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// String returns the name as dmesg has it.
func (f Facility) String() string {
	if int(f) < len(facilityNames) {
		return facilityNames[f]
	}
	return strconv.Itoa(int(f))
}

// MarshalText returns what String does.
func (f Facility) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (f *Facility) UnmarshalText(b []byte) error { return parseName(facilityNames[:], b, f) }

// parseName sets v to the value that has a name, or is the number.
func parseName[T ~uint8](names []string, text []byte, v *T) error {
	if i := slices.Index(names, string(text)); i >= 0 {
		*v = T(i)
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil || n < uint64(len(names)) {
		return fmt.Errorf("printk: unknown name %q", text)
	}
	*v = T(n)
	return nil
}

// A Level says how grave a record is: KERN_EMERG and so on of include/linux/kern_levels.h.
type Level uint8

var levelNames = [...]string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}

// String returns the name as dmesg has it.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return strconv.Itoa(int(l))
}

// MarshalText returns what String does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (l *Level) UnmarshalText(b []byte) error { return parseName(levelNames[:], b, l) }

// A Caller says in whose context a record was written: a task by its thread ID, or, in an interrupt, a CPU
// (printk_caller_id of kernel/printk/printk.c).
type Caller uint32

// callerCPU marks a CPU.
const callerCPU = 1 << 31

// CPU returns the CPU of a record that no task wrote.
func (c Caller) CPU() (cpu int, ok bool) { return int(c &^ callerCPU), c&callerCPU != 0 }

// String returns T with the thread ID or C with the CPU, as dmesg has it.
func (c Caller) String() string {
	if cpu, ok := c.CPU(); ok {
		return "C" + strconv.Itoa(cpu)
	}
	return "T" + strconv.FormatUint(uint64(c), 10)
}

// MarshalText returns what String does.
func (c Caller) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (c *Caller) UnmarshalText(b []byte) error {
	kind, number := b[:min(1, len(b))], string(b[min(1, len(b)):])
	n, err := strconv.ParseUint(number, 10, 31)
	switch {
	case err != nil:
		return fmt.Errorf("printk: caller %q: %w", b, err)
	case string(kind) == "C":
		n |= callerCPU
	case string(kind) != "T":
		return fmt.Errorf("printk: caller %q", b)
	}
	*c = Caller(n)
	return nil
}
