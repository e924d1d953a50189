package vmem_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// exampleMemory returns physical memory with page tables in it, as an image of a
// machine would hold them: two pages of a process, the second one swapped out, and
// a 2 MiB page of the kernel.
func exampleMemory() (mem vmem.Memory, root vmem.PhysAddr) {
	m := new(pagetest.Memory)
	tables := pagetest.NewTables(m, 4, 0x10_0000)
	tables.Map(0x7f12_3456_7000, 0x5000, 1, pagetest.Present|pagetest.Write|pagetest.User|pagetest.NX)
	tables.Set(0x7f12_3456_8000, 1, 0x07ff_ffff_ffdb_9600) // page 0x1234 of swap file 0
	tables.Map(0xffff_ffff_8100_0000, 0x20_0000, 2, pagetest.Present|pagetest.Global)
	m.Zero(0x5000, vmem.PageSize)
	m.Write(0x5ff0, []byte("/usr/bin/kubelet"))
	return m, tables.Root()
}

func Example() {
	mem, root := exampleMemory()
	as, err := x86.NewAddressSpace(vmem.NewPhysical(mem), root, nil)
	if err != nil {
		log.Fatal(err)
	}
	// A read that runs into an unreadable page returns what lies before it.
	buf := make([]byte, 32)
	n, err := as.ReadVirt(buf, 0x7f12_3456_7ff0)
	fmt.Printf("%q\n%v\n", buf[:n], err)

	if fault, ok := errors.AsType[*vmem.Fault](err); ok && errors.Is(err, vmem.ErrSwapped) {
		file, page := x86.SwapEntry(fault)
		fmt.Printf("it is page %#x of swap file %d\n", page, file)
	}
	// Output:
	// "/usr/bin/kubelet"
	// vmem: virtual 0x7f1234568000: swapped out (level 1 entry 0x7ffffffffdb9600 at physical 0x103b40)
	// it is page 0x1234 of swap file 0
}

func ExampleAddressSpace_Mappings() {
	mem, root := exampleMemory()
	as, err := x86.NewAddressSpace(vmem.NewPhysical(mem), root, &x86.Options{Levels: 4})
	if err != nil {
		log.Fatal(err)
	}
	for m, err := range as.Mappings(vmem.Range[vmem.VirtAddr]{Start: 0x1000, Size: ^uint64(0)}) {
		if err != nil {
			fmt.Println(m.Range, err)
			continue
		}
		fmt.Printf("%v at physical %v, writable %t, executable %t\n", m.Range, m.Phys, m.Write, !m.NX)
	}
	// Output:
	// [0x7f1234567000, 0x7f1234567fff] at physical 0x5000, writable true, executable false
	// [0x7f1234568000, 0x7f1234568fff] vmem: virtual 0x7f1234568000: swapped out (level 1 entry 0x7ffffffffdb9600 at physical 0x103b40)
	// [0xffffffff81000000, 0xffffffff811fffff] at physical 0x200000, writable false, executable true
}

func ExampleSubtractRanges() {
	captured := vmem.NormalizeRanges([]vmem.Range[vmem.PhysAddr]{
		{Start: 0x10_0000, Size: 0x4000},
		{Start: 0x1000, Size: 0x9_e000},
		{Start: 0x10_4000, Size: 0x1000},
	})
	fmt.Println(captured)
	fmt.Println(vmem.SubtractRanges(vmem.Range[vmem.PhysAddr]{Start: 0, Size: 0x11_0000}, captured))
	// Output:
	// [[0x1000, 0x9efff] [0x100000, 0x104fff]]
	// [[0x0, 0xfff] [0x9f000, 0xfffff] [0x105000, 0x10ffff]]
}
