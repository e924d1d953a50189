package vmcoreinfo

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNotes(t *testing.T) {
	first, second := note("CORE", 1, []byte("12345")), note("VMCOREINFO", 0, []byte(text))
	whole := append(bytes.Clone(first), second...)
	want := []Note{{"CORE", 1, []byte("12345")}, {"VMCOREINFO", 0, []byte(text)}}
	for name, tt := range map[string]struct {
		b    []byte
		want []Note
		used int
	}{
		"none":                   {nil, nil, 0},
		"whole":                  {whole, want, len(whole)},
		"zeros behind":           {append(bytes.Clone(whole), make([]byte, 7)...), want, len(whole) + 7},
		"cut off":                {whole[:len(whole)-10], want[:1], len(first)},
		"cut off in a header":    {whole[:len(first)+5], want[:1], len(first)},
		"a name of 4 GiB":        {append(bytes.Clone(first), "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"...), want[:1], len(first)},
		"without the last zeros": {first[:len(first)-3], want[:1], len(first) - 3},
		"a name without its NUL": {append([]byte("\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00"), "LONG"...), []Note{{"LONG", 7, []byte{}}}, 16},
	} {
		notes, used := ParseNotes(tt.b)
		if d := cmp.Diff(tt.want, notes); d != "" || used != tt.used {
			t.Errorf("%s: %d bytes used, want %d; notes (-want +got):\n%s", name, used, tt.used, d)
		}
	}
}

// The registers are where struct QEMUCPUState of QEMU's target/i386/arch_dump.c has them.
func TestParseCPUs(t *testing.T) {
	state := make([]byte, 8+18*8+10*24+5*8+8)
	state[0] = 1 // version
	for i, v := range []uint64{0x80050033, 0, 0x7f00dead0000, 0x1234000, 0x1770f0} {
		binary.LittleEndian.PutUint64(state[8+18*8+10*24+8*i:], v)
	}
	other := bytes.Clone(state)
	other[0] = 2
	got := ParseCPUs([]Note{{"CORE", 1, state}, {"QEMU", 0, state}, {"QEMU", 0, other}, {"QEMU", 0, state[:100]}})
	if d := cmp.Diff([]CPU{{CR0: 0x80050033, CR2: 0x7f00dead0000, CR3: 0x1234000, CR4: 0x1770f0}}, got); d != "" {
		t.Errorf("CPUs (-want +got):\n%s", d)
	}
}

func FuzzNotes(f *testing.F) {
	f.Add(append(note("CORE", 1, []byte("12345")), note("VMCOREINFO", 0, []byte(text))...))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		notes, used := ParseNotes(b)
		size := 0
		for _, n := range notes {
			size += 12 + len(n.Name) + len(n.Desc)
		}
		if used > len(b) || size > len(b) {
			t.Fatalf("%d bytes used, %d in notes, of %d", used, size, len(b))
		}
		ParseCPUs(notes)
	})
}
