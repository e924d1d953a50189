package dwarfconv

import (
	"bytes"
	"context"
	"debug/dwarf"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// benchmarkVMLinux returns the vmlinux of 6.1 among the kernels, and skips without it.
func benchmarkVMLinux(b *testing.B) string {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(os.Getenv("NODELENS_KERNELS"), "6.1.0-*", "usr", "lib", "debug", "boot", "vmlinux-*"))
	if err != nil {
		b.Fatal(err)
	}
	if len(names) == 0 {
		b.Skip("no vmlinux of 6.1 below NODELENS_KERNELS")
	}
	return names[0]
}

// BenchmarkConvert makes a whole ISF file of a vmlinux. BenchmarkDebugDWARF, of the same
// run, is what the standard library takes to look at its entries.
func BenchmarkConvert(b *testing.B) {
	name := benchmarkVMLinux(b)
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		f, err := ConvertFile(context.Background(), name, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Encode(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDebugDWARF(b *testing.B) {
	name := benchmarkVMLinux(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := walkEntries(name); err != nil {
			b.Fatal(err)
		}
	}
}

func walkEntries(name string) error {
	f, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := f.DWARF()
	if err != nil {
		return err
	}
	return walk(d.Reader())
}

func walk(r *dwarf.Reader) error {
	for {
		e, err := r.Next()
		if e == nil || err != nil {
			return err
		}
	}
}

func BenchmarkConvertSample(b *testing.B) {
	data := unpacked(b, "gcc5.elf")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Convert(context.Background(), bytes.NewReader(data), int64(len(data)), nil); err != nil {
			b.Fatal(err)
		}
	}
}
