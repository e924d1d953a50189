package btfconv

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nodelens/nodelens/vmem"
)

const maxConfig = 4 << 20 // of text, in bytes; that of a distribution's kernel has 250 KiB

// ErrNoConfig says that the kernel was built without CONFIG_IKCONFIG, or that its
// copy of the configuration was not captured.
var ErrNoConfig = errors.New("no IKCONFIG")

// KernelConfig returns the configuration that the running kernel was built with,
// as /proc/config.gz has it, unpacked (kernel/configs.c, CONFIG_IKCONFIG). It
// reads the memory that the report is of, which must still be open. The error is
// ErrNoConfig, wraps ErrDamaged, or is that of ctx.
func (r *Report) KernelConfig(ctx context.Context) ([]byte, error) {
	packed, err := r.findConfig(ctx)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("btfconv: IKCONFIG: %w: %w", ErrDamaged, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("btfconv: IKCONFIG: %w: %w", ErrDamaged, err)
	}
	return text, nil
}

// findConfig returns the compressed configuration, which stands in the read-only
// data of the kernel's image between two marks.
func (r *Report) findConfig(ctx context.Context) ([]byte, error) {
	const begin, end = "IKCFG_ST\x1f\x8b\x08", "IKCFG_ED"
	if r.mem == nil {
		return nil, ErrNoConfig
	}
	for pa := range scanFor(ctx, r.mem, r.image, []byte(begin)) {
		b := readUpTo(r.mem, pa+8, maxConfig/4)
		if n := bytes.Index(b, []byte(end)); n > 0 {
			return b[:n], nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, ErrNoConfig
}

// linkedAt returns where the configuration has _text linked, if it says it:
// LOAD_PHYSICAL_ADDR in arch/x86/include/asm/boot.h, in __START_KERNEL_map.
func linkedAt(config []byte) (uint64, bool) {
	start, ok := configNumber(config, "CONFIG_PHYSICAL_START")
	step, ok2 := configNumber(config, "CONFIG_PHYSICAL_ALIGN")
	if !ok || !ok2 || step == 0 || step&(step-1) != 0 || start >= kernelImageMax {
		return 0, false
	}
	return startKernelMap + (start+step-1)&^(step-1), true
}

func configNumber(config []byte, name string) (uint64, bool) {
	_, rest, ok := bytes.Cut(config, []byte("\n"+name+"="))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseUint(string(line), 0, 64)
	return n, err == nil
}

// correctLink tells the KASLR shift by where the kernel was linked. That stands in its code,
// and in its configuration if it carries it; else it is where almost all are. VMCOREINFO
// says the shift too, but nothing in memory depends on it: whoever can write a page can
// have it say anything.
func (f *finder) correctLink(ctx context.Context) {
	linked, by := uint64(linkedText), "almost all kernels are linked"
	if at, ok := f.linkedByCode(); ok {
		linked, by = at, "its code says"
	} else if config, err := f.report.KernelConfig(ctx); err == nil {
		if at, ok := linkedAt(config); ok {
			linked, by = at, "its configuration says"
		}
	}
	f.image.shift = f.image.text - linked
	if f.notes == nil {
		return
	}
	if said, err := f.notes.KernelOffset(); err == nil && said != f.image.shift {
		f.lose("KERNELOFFSET of VMCOREINFO", fmt.Errorf("%#x, but %#x by the address at which %s: %w", said, f.image.shift, by, ErrConflict))
	}
}

// lose notes a loss that is no type's.
func (s *search) lose(object string, err error) {
	s.lost = append(s.lost, vmem.Gap{Object: object, Err: err})
}

// imageRange returns where the kernel's code and read-only data are in memory.
func (s *search) imageRange() vmem.Range[vmem.PhysAddr] {
	if s.report.BTF.Addr == 0 {
		return vmem.Range[vmem.PhysAddr]{Start: s.image.phys, Size: kernelImageMax}
	}
	return vmem.Range[vmem.PhysAddr]{Start: s.image.phys, Size: uint64(s.report.BTF.Addr-s.image.phys) + s.report.BTF.Size}
}
