package kdump

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// A real node's memory, which QEMU dumped as an ELF core, comes back from what
// makedumpfile made of that.
func TestRealImage(t *testing.T) {
	if testing.Short() {
		t.Skip("whole images take long")
	}
	image := testimages.Named(t, "s-6.12-la57")
	for i, args := range [][]string{{"-l", "-d", "31"}, {"-F", "-l", "-d", "0"}, {"-c", "-d", "1"}} {
		if i > 1 && !testimages.Thorough() {
			break
		}
		f, err := Open(testimages.Makedumpfile(t, image, args...))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pages, excluded := compare(t, f, image.Path)
		if pages == 0 || pages != f.index.count || excluded != f.index.excluded || (excluded > 0) != (f.Header().Level > ExcludeZero) {
			t.Errorf("%v: %d pages, %d excluded; the index says %d and %d", args, pages, excluded, f.index.count, f.index.excluded)
		}
		info, err := f.VMCoreInfo()
		if err != nil || info.Release() != "6.12.107+deb13-cloud-amd64" || len(f.CPUs()) != 2 {
			t.Errorf("%v: VMCOREINFO %v, %v; %d CPUs", args, info, err, len(f.CPUs()))
		}
	}
}

// compare compares each page of f with the ELF core in the named file, and counts them.
func compare(t *testing.T, f *File, name string) (pages, excluded uint64) {
	t.Helper()
	core, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	got, want := make([]byte, blockSize), make([]byte, blockSize)
	for _, p := range core.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		r := p.Open()
		for at := p.Paddr; at < p.Paddr+p.Filesz; at += blockSize {
			if _, err := io.ReadFull(r, want); err != nil {
				t.Fatal(err)
			}
			n, err := f.ReadAt(got, int64(at))
			switch {
			case err == nil && bytes.Equal(got, want):
				pages++
			case errors.Is(err, ErrExcluded):
				excluded++
			case !errors.Is(err, vmem.ErrNotCaptured) || n != 0: // makedumpfile ends where the kernel's memory does
				t.Fatalf("page at %#x: %d bytes, %v, or other bytes than the core has", at, n, err)
			}
		}
	}
	return pages, excluded
}
