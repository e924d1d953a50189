package kcore

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// walkCore reads a core with the standard library's parser, and calls visit with each
// piece of the memory that it has.
func walkCore(t *testing.T, name string, visit func(addr vmem.PhysAddr, b []byte)) (ranges []rng) {
	t.Helper()
	r, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	piece := make([]byte, 1<<20)
	for _, p := range r.Progs {
		if p.Type != elf.PT_LOAD || p.Paddr == ^uint64(0) {
			continue
		}
		ranges = append(ranges, rng{Start: vmem.PhysAddr(p.Paddr), Size: p.Filesz})
		addr, content := vmem.PhysAddr(p.Paddr), p.Open()
		for {
			n, err := io.ReadFull(content, piece)
			visit(addr, piece[:n])
			addr += vmem.PhysAddr(n)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	return ranges
}

// checkImage compares all of f with the core in the named file.
func checkImage(t *testing.T, f *File, name string) {
	t.Helper()
	got := make([]byte, 1<<20)
	ranges := walkCore(t, name, func(addr vmem.PhysAddr, b []byte) {
		if n, err := f.ReadAt(got[:len(b)], int64(addr)); err != nil || !bytes.Equal(got[:n], b) {
			t.Fatalf("memory at %v: %d bytes, %v, or other bytes than the file has", addr, n, err)
		}
	})
	if d := cmp.Diff(vmem.NormalizeRanges(ranges), f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	if g := f.Gaps(); len(g) > 0 {
		t.Errorf("gaps %v, want none", g)
	}
}

// The core was made by QEMU.
func TestRealImage(t *testing.T) {
	image := testimages.Named(t, "s-6.12-la57")
	f, err := Open(image.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkImage(t, f, image.Path)
}

func TestRealImageLZ4(t *testing.T) {
	image := testimages.Named(t, "s-6.12-la57")
	lz4, err := exec.LookPath("lz4")
	if err != nil {
		t.Skip("no lz4 command here:", err)
	}
	packed := filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command(lz4, "--content-size", image.Path, packed).CombinedOutput(); err != nil {
		t.Fatalf("lz4: %v: %s", err, out)
	}
	f, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkImage(t, f, image.Path)
}

// kcoreHead is the beginning of /proc/kcore, read in the guest: headers and notes.
func kcoreHead(t *testing.T, image testimages.Image) *File {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(image.Truth, "kcore.head"))
	if err != nil {
		t.Skip("no truth about the kernel's own core:", err)
	}
	return open(t, b)
}

// VMCOREINFO is in the memory of all images, with or without notes, as the kernel itself
// gave it, and agrees with where the kernel says its text is.
func TestRealImagesVMCoreInfo(t *testing.T) {
	for _, image := range testimages.All(t) {
		t.Run(image.Name, func(t *testing.T) {
			kernel := kcoreHead(t, image)
			want, err := kernel.VMCoreInfo()
			if err != nil {
				t.Fatal(err)
			}
			checkText(t, kernel, want)
			checkFound(t, image.Path, want)
		})
	}
}

// checkText compares VMCOREINFO with the segment of the kernel's text, which is the first
// PT_LOAD: it begins at _stext's page, moved by KERNELOFFSET from the lowest address that
// x86-64 kernels are linked for, and phys_base says where in physical memory that is.
func checkText(t *testing.T, kernel *File, v *vmcoreinfo.Info) {
	t.Helper()
	const startKernelMap, physicalStart = 0xffffffff80000000, 0x1000000 // asm/page_64_types.h, CONFIG_PHYSICAL_START
	text := kernel.Segments()[1]
	offset, err := v.KernelOffset()
	if got := uint64(text.Virt) - startKernelMap - physicalStart; err != nil || offset != got {
		t.Errorf("KERNELOFFSET %#x, %v; the kernel moved by %#x", offset, err, got)
	}
	base, err := v.Number("phys_base")
	if got := int64(text.Phys) - int64(uint64(text.Virt)-startKernelMap); err != nil || base != got {
		t.Errorf("phys_base %#x, %v; the text is at %#x", base, err, got)
	}
}

func checkFound(t *testing.T, name string, want *vmcoreinfo.Info) {
	t.Helper()
	mem, err := openImage(name)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var texts []string
	for f, err := range vmcoreinfo.Find(context.Background(), mem) {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, f.Info.Text())
	}
	if d := cmp.Diff([]string{want.Text()}, texts); d != "" {
		t.Errorf("found in memory (-want +got):\n%s", d)
	}
}

type closableMemory interface {
	vmem.Memory
	io.Closer
}

func openImage(name string) (closableMemory, error) {
	if filepath.Ext(name) == ".lime" {
		return lime.Open(name)
	}
	return Open(name)
}

// QEMU wrote the state of each CPU, all of them with the paging mode that the kernel says
// it uses (CR4.LA57; Intel SDM, "Control Registers").
func TestRealImageCPUs(t *testing.T) {
	image := testimages.Named(t, "s-6.12-la57")
	f, err := Open(image.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := f.VMCoreInfo()
	if err != nil {
		t.Fatal(err)
	}
	l5, err := v.Number("pgtable_l5_enabled")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.CPUs()) != 2 {
		t.Errorf("%d CPUs, want 2", len(f.CPUs()))
	}
	for i, c := range f.CPUs() {
		_, err := f.ReadAt(make([]byte, vmem.PageSize), int64(c.CR3&^(vmem.PageSize-1)))
		if err != nil || int64(c.CR4>>12&1) != l5 {
			t.Errorf("CPU %d: CR3 %#x (%v), CR4 %#x; LA57 should be %d", i, c.CR3, err, c.CR4, l5)
		}
	}
}

func BenchmarkRealImageFind(b *testing.B) {
	f, err := Open(testimages.Named(b, "s-6.12-la57").Path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for _, r := range f.Ranges() {
		size += int64(r.Size)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range vmcoreinfo.Find(context.Background(), f) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRealImageOpen(b *testing.B) {
	name := testimages.Named(b, "s-6.12-la57").Path
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(name)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
