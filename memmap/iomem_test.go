package memmap

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

type rng = vmem.Range[vmem.PhysAddr]

const iomem = `00000000-00000fff : Reserved
00001000-00009bff : System RAM
00009c00-0009ffff : Reserved
000f0000-000fffff : System ROM
00100000-0013ffff : System RAM
  00110000-00111fff : Kernel code
  00112000-00113fff : Kernel data
00140000-0014ffff : Reserved
00200000-002fffff : virtio0
  00200000-0020ffff : System RAM (virtio_mem)
`

func TestParseIOMem(t *testing.T) {
	got, err := ParseIOMem([]byte(iomem))
	if err != nil {
		t.Fatal(err)
	}
	want := []Resource{
		{rng{Start: 0, Size: 0x1000}, "Reserved", 0},
		{rng{Start: 0x1000, Size: 0x8c00}, "System RAM", 0},
		{rng{Start: 0x9c00, Size: 0x96400}, "Reserved", 0},
		{rng{Start: 0xf0000, Size: 0x10000}, "System ROM", 0},
		{rng{Start: 0x100000, Size: 0x40000}, "System RAM", 0},
		{rng{Start: 0x110000, Size: 0x2000}, "Kernel code", 1},
		{rng{Start: 0x112000, Size: 0x2000}, "Kernel data", 1},
		{rng{Start: 0x140000, Size: 0x10000}, "Reserved", 0},
		{rng{Start: 0x200000, Size: 0x100000}, "virtio0", 0},
		{rng{Start: 0x200000, Size: 0x10000}, "System RAM (virtio_mem)", 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("resources (-want +got):\n%s", d)
	}
}

func TestSystemRAM(t *testing.T) {
	tests := []struct {
		name, text string
		want       []rng
	}{
		{"split by firmware data, and joined again", "00100000-0a6f3017 : System RAM\n0a6f3018-0a6f5057 : System RAM\n0a6f5058-0a6fffff : System RAM\n",
			[]rng{{Start: 0x100000, Size: 0xa600000}}},
		{"persistent memory as RAM", "240000000-43fffffff : Persistent Memory\n  240000000-2bfffffff : namespace0.0\n  2c0000000-43fffffff : dax0.0\n    2c0000000-43fffffff : System RAM (kmem)\n",
			[]rng{{Start: 0x2c0000000, Size: 0x180000000}}},
		{"names that only look alike", "00001000-00001fff : System RAM device\n00002000-00002fff : Some System RAM\n00003000-00003fff : System ROM\n00004000-00004fff : Kernel code\n", nil},
		{"not in order", "100000000-13fffffff : System RAM\n00001000-00001fff : System RAM\n", []rng{{Start: 0x1000, Size: 0x1000}, {Start: 0x100000000, Size: 0x40000000}}},
		{"one byte", "00001000-00001000 : System RAM\n", []rng{{Start: 0x1000, Size: 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resources, err := ParseIOMem([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := SystemRAM(resources)
			if d := cmp.Diff(tt.want, append([]rng(nil), got...)); d != "" {
				t.Errorf("RAM (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseIOMemRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":             "",
		"no name":           "00001000-00001fff\n",
		"no range":          "00001000 : System RAM\n",
		"end before start":  "00002000-00001fff : System RAM\n",
		"not hexadecimal":   "0000x000-00001fff : System RAM\n",
		"negative":          "-0-1 : System RAM\n",
		"beyond 64 bits":    "0-10000000000000000 : System RAM\n",
		"all of the 64":     "0-ffffffffffffffff : System RAM\n",
		"HTML from a proxy": "<html>\n",
	} {
		if r, err := ParseIOMem([]byte(text)); !errors.Is(err, ErrIOMem) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	hidden := "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n"
	_, err := ParseIOMem([]byte(hidden))
	if !errors.Is(err, ErrHidden) {
		t.Errorf("hidden: %v", err)
	}
}

func FuzzIOMem(f *testing.F) {
	f.Add([]byte(iomem))
	f.Add([]byte("00000000-00000000 : Reserved\n"))
	f.Add([]byte("240000000-43fffffff : Persistent Memory\n  2c0000000-43fffffff : dax0.0\n    2c0000000-43fffffff : System RAM (kmem)"))
	f.Add([]byte("0-ffffffffffffffff : x\nfffffffffffffffe-ffffffffffffffff : System RAM\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		resources, err := ParseIOMem(text)
		if (resources == nil) == (err == nil) {
			t.Fatalf("%v, %v", resources, err)
		}
		ram := SystemRAM(resources)
		for i, r := range ram {
			if r.Size == 0 || i > 0 && r.Start <= ram[i-1].Last() {
				t.Fatalf("RAM %v of %v", ram, resources)
			}
		}
		for _, r := range resources {
			if r.Range.Size == 0 || r.Range.Last() < r.Range.Start || r.Depth < 0 {
				t.Fatalf("resource %v", r)
			}
		}
	})
}
