package linux

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTaskState(t *testing.T) {
	tests := []struct {
		state, exit uint32
		want        State
	}{
		{0x0000, 0x00, Running},
		{0x0001, 0x00, Sleeping},
		{0x0002, 0x00, DiskSleep},
		{0x0004, 0x00, Stopped},
		{0x0104, 0x00, Stopped}, // TASK_STOPPED: with TASK_WAKEKILL
		{0x0008, 0x00, TracingStop},
		{0x0080, 0x10, Dead},
		{0x0080, 0x20, Zombie},
		{0x0040, 0x00, Parked},
		{0x0402, 0x00, Idle},
		{0x0102, 0x00, DiskSleep}, // TASK_KILLABLE
		{0x1000, 0x00, DiskSleep}, // TASK_RTLOCK_WAIT
		{0x8000, 0x00, DiskSleep}, // TASK_FROZEN
		{0x2001, 0x00, Sleeping},  // TASK_FREEZABLE
		{0x2402, 0x00, Idle},      // TASK_IDLE|TASK_FREEZABLE, as of nfsd
		{0x0400, 0x00, Running},   // TASK_NOLOAD alone is not TASK_IDLE
	}
	for _, tt := range tests {
		if got := taskState(tt.state, tt.exit); got != tt.want {
			t.Errorf("taskState(%#x, %#x) = %v, want %v", tt.state, tt.exit, got, tt.want)
		}
	}
}

func TestVMAFlagsString(t *testing.T) {
	tests := map[VMAFlags]string{
		0:                                "---p",
		VMRead | VMExec:                  "r-xp",
		VMRead | VMWrite | VMShared:      "rw-s",
		VMRead | VMWrite | VMExec | 0x70: "rwxp",
	}
	for flags, want := range tests {
		if got := flags.String(); got != want {
			t.Errorf("%#x: got %s, want %s", uint64(flags), got, want)
		}
	}
}

func TestStrings(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\x00", []string{""}},
		{"a", []string{"a"}},
		{"a\x00", []string{"a"}},
		{"a\x00\x00b\x00", []string{"a", "", "b"}},
		{"a\x00\x00", []string{"a", ""}},
		{"\xff\x00b", []string{"\xff", "b"}},
	}
	k := newTestKernel(t)
	for _, tt := range tests {
		var got []string
		w := areaWalk{MM: &MM{k: k.Kernel}, yield: func(s string, _ error) bool { got = append(got, s); return true }}
		w.giveLast(0, w.give(0, []byte(tt.in), 0))
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, d)
		}
	}
}

func TestRelease(t *testing.T) {
	tests := map[string]string{
		"Linux version 6.1.0-50-cloud-amd64 (a@b) (gcc) #1 SMP\n": "6.1.0-50-cloud-amd64",
		"Linux version 6.6.87+ (builder@localhost) #1":            "6.6.87+",
		"Linux version":                  "",
		"Darwin Kernel Version 20.1.0 x": "",
		"":                               "",
	}
	for banner, want := range tests {
		if got := release(banner); got != want {
			t.Errorf("release(%q) = %q, want %q", banner, got, want)
		}
	}
}
