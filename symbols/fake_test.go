package symbols

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A fake is a kernel that is nothing but what it says about itself.
type fake struct {
	release, build string
	buildID        string
}

var (
	running = fake{"6.1.0-9", "#1 SMP Tue Nov 3 11:00:00 UTC 2026", "00112233445566778899aabbccddeeff00112233"}
	rebuilt = fake{"6.1.0-9", "#1 SMP Wed Nov 4 12:00:00 UTC 2026", "ffeeddccbbaa99887766554433221100ffeeddcc"}
	older   = fake{"5.10.0-7", "#1 SMP Mon Nov 2 10:00:00 UTC 2026", "0123456789abcdef0123456789abcdef01234567"}
)

const (
	fakeShift = 0x1c000000  // of KASLR
	fakeBase  = -0x18000000 // phys_base
	fakeText  = 0xffffffff81000000
	fakeUTS   = 0xffffffff82600040
	fakeText2 = 0xffffffff82000100 // the banner
)

func (f fake) banner() string {
	return "Linux version " + f.release + " (builder@host) (gcc 12) " + f.build
}

// notes are the kernel's VMCOREINFO, without an address that the search would verify it by.
func (f fake) notes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "OSRELEASE=%s\nBUILD-ID=%s\nPAGESIZE=4096\n", f.release, f.buildID)
	fmt.Fprintf(&b, "SYMBOL(init_uts_ns)=%x\nSYMBOL(_stext)=%x\n", uint64(fakeUTS)+fakeShift, uint64(fakeText)+fakeShift)
	fmt.Fprintf(&b, "NUMBER(phys_base)=%d\n", int64(fakeBase))
	for i := range 10 {
		fmt.Fprintf(&b, "SIZE(type%d)=%d\nOFFSET(type%d.member)=%d\n", i, 16*i+16, i, 8*i)
	}
	return b.String()
}

// phys returns where the running kernel has what was linked at an address.
func phys(linked uint64) vmem.PhysAddr {
	return vmem.PhysAddr(linked + fakeShift - startKernelMap + uint64(fakeBase&(1<<64-1)))
}

// memory returns an image of the kernel.
func (f fake) memory() *pagetest.Memory {
	m := new(pagetest.Memory)
	m.Write(0x5000, append([]byte(f.notes()), make([]byte, 100)...))
	m.Write(phys(fakeUTS), append([]byte("Linux\x00node\x00"+f.release+"\x00"), make([]byte, 600)...))
	m.Write(phys(fakeText2), append([]byte(f.banner()+"\n\x00"), make([]byte, 1200)...))
	return m
}

// symbols returns the symbols of the kernel.
func (f fake) symbols(t testing.TB) *isf.File {
	c := f.contents()
	file, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func (f fake) contents() isf.Contents {
	char := &isf.Type{Kind: isf.KindBase, Name: "char"}
	c := isf.Contents{
		Metadata: isf.Metadata{Producer: isf.Producer{Name: "nodelens", Version: "0.1.0"}},
		Bases:    []isf.BaseType{{Name: "char", Size: 1, Kind: isf.BaseChar}},
		Symbols: []isf.Symbol{
			{Name: "_stext", Address: fakeText},
			{Name: "init_uts_ns", Address: fakeUTS},
			{Name: "linux_banner", Address: fakeText2, ConstantData: []byte(f.banner() + "\n\x00")},
		},
	}
	for i := range uint64(10) {
		c.Types = append(c.Types, isf.UserType{
			Name: fmt.Sprintf("type%d", i), Kind: isf.KindStruct, Size: 16*i + 16,
			Fields: []isf.Field{{Name: "member", Offset: 8 * i, Type: char}},
		})
	}
	return c
}
