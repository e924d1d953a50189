package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// Where boot_params has the map of the boot loader
// (Documentation/arch/x86/zero-page.rst).
const (
	bootE820Count   = 0x1e8 // a byte
	bootE820Table   = 0x2d0
	bootE820Max     = 128
	bootE820Size    = 20 // of an entry: address, size, type
	bootE820TypeRAM = 1
)

// biosRanges are what the kernel takes for reserved, whatever the map says of it
// (trim_bios_range of arch/x86/kernel/setup.c).
var biosRanges = []vmem.Range[vmem.PhysAddr]{{Start: 0, Size: vmem.PageSize}, {Start: 0xa0000, Size: 0x60000}}

// firmwareRAM returns the RAM of the map that the boot loader gave the kernel, which keeps
// it in its image.
func (w *placeWalk) firmwareRAM() ([]memmap.Resource, error) {
	s, err := w.symbols.Symbol("boot_params")
	if err != nil {
		return nil, err
	}
	at := w.kernel.location.phys(s.Address+w.kernel.location.shift) - vmem.PhysAddr(w.kernel.shift)
	n, err := w.phys.Uint8(at + bootE820Count)
	if err != nil {
		return nil, err
	}
	var ram []vmem.Range[vmem.PhysAddr]
	for i := range min(int(n), bootE820Max) {
		entry := at + bootE820Table + vmem.PhysAddr(i*bootE820Size)
		addr, err1 := w.phys.Uint64(entry)
		size, err2 := w.phys.Uint64(entry + 8)
		typ, err3 := w.phys.Uint32(entry + 16)
		if err1 == nil && err2 == nil && err3 == nil && typ == bootE820TypeRAM {
			ram = append(ram, vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(addr), Size: size})
		}
	}
	var resources []memmap.Resource
	for _, r := range vmem.NormalizeRanges(ram) {
		for _, part := range vmem.SubtractRanges(r, biosRanges) {
			resources = append(resources, memmap.Resource{Range: part, Name: "System RAM"})
		}
	}
	if len(resources) == 0 {
		return nil, fmt.Errorf("%w: no RAM in boot_params", kstruct.ErrCorrupt)
	}
	return resources, nil
}
