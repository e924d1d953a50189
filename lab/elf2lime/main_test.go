package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// core is an ELF core of two segments: 0x2000 bytes at 0, 0x1000 at 0x10000.
func core(t *testing.T) (file string, low, high []byte) {
	t.Helper()
	low, high = bytes.Repeat([]byte("low "), 0x800), bytes.Repeat([]byte("high"), 0x400)
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	put := func(fields ...any) {
		for _, f := range fields {
			if err := binary.Write(&b, binary.LittleEndian, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	segment := func(off, paddr, size uint64) { put(uint32(1), uint32(0), off, uint64(0), paddr, size, size, uint64(0)) }
	put(uint16(4), uint16(62), uint32(1), uint64(0), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(2), uint16(64), uint16(0), uint16(0))
	segment(176, 0, 0x2000)
	segment(176+0x2000, 0x10000, 0x1000)
	b.Write(low)
	b.Write(high)
	file = filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, low, high
}

func convertWith(t *testing.T, iomem string) ([]byte, error) {
	t.Helper()
	file, _, _ := core(t)
	dir := t.TempDir()
	name, out := filepath.Join(dir, "iomem"), filepath.Join(dir, "out")
	if err := os.WriteFile(name, []byte(iomem), 0o644); err != nil {
		t.Fatal(err)
	}
	err := convert(name, file, out)
	got, _ := os.ReadFile(out)
	return got, err
}

func TestConvert(t *testing.T) {
	_, low, high := core(t)
	got, err := convertWith(t, "00000000-00000fff : Reserved\n00001000-000017ff : System RAM\n00010000-00010fff : System RAM\n  00010000-000100ff : System RAM\n00fd0000-00fdffff : PCI\n")
	if err != nil {
		t.Fatal(err)
	}
	// The layout of LiME's lime_mem_range_header: magic, version, first, last, eight bytes reserved.
	record := func(first, last uint64) string {
		h := binary.LittleEndian.AppendUint32([]byte("EMiL"), 1)
		h = binary.LittleEndian.AppendUint64(h, first)
		return string(append(binary.LittleEndian.AppendUint64(h, last), make([]byte, 8)...))
	}
	want := record(0x1000, 0x17ff) + string(low[0x1000:0x1800]) + record(0x10000, 0x10fff) + string(high)
	if string(got) != want {
		t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
	}
}

func TestConvertRefuses(t *testing.T) {
	for name, iomem := range map[string]string{
		"no RAM":          "00000000-00000fff : Reserved\n",
		"not in the core": "00002000-00002fff : System RAM\n",
		"across its end":  "00010800-000117ff : System RAM\n",
		"not a range":     "zzz : System RAM\n",
	} {
		if _, err := convertWith(t, iomem); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
