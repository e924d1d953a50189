// Package symboltest has a few kernels that are nothing but what they say about
// themselves: in memory, as symbols, and as small vmlinux files, for tests of what finds
// the symbols of a kernel.
package symboltest

import (
	"embed"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A Kernel is one that is nothing but what it says about itself.
type Kernel struct {
	Release, Build string // as uname -r and -v have them
	BuildID        string // in hexadecimal
}

// The kernels: two builds of one release, and one of another.
var (
	Running = Kernel{"6.1.0-9", "#1 SMP Tue Nov 3 11:00:00 UTC 2026", "00112233445566778899aabbccddeeff00112233"}
	Rebuilt = Kernel{"6.1.0-9", "#1 SMP Wed Nov 4 12:00:00 UTC 2026", "ffeeddccbbaa99887766554433221100ffeeddcc"}
	Older   = Kernel{"5.10.0-7", "#1 SMP Mon Nov 2 10:00:00 UTC 2026", "0123456789abcdef0123456789abcdef01234567"}
)

// Where the kernels are linked and loaded.
const (
	Shift    = 0x1c000000  // of KASLR
	PhysBase = -0x18000000 // phys_base
	Text     = 0xffffffff81000000
	UTS      = 0xffffffff82600040
	Version  = 0xffffffff82000100 // the banner
	Notes    = 0x5000             // VMCOREINFO, in physical memory

	startKernelMap = 0xffffffff80000000
)

// Banner is linux_banner, without the newline.
func (k Kernel) Banner() string {
	return "Linux version " + k.Release + " (builder@host) (gcc 12) " + k.Build
}

// notes are the kernel's VMCOREINFO.
func (k Kernel) notes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "OSRELEASE=%s\nBUILD-ID=%s\nPAGESIZE=4096\n", k.Release, k.BuildID)
	fmt.Fprintf(&b, "SYMBOL(init_uts_ns)=%x\nSYMBOL(_stext)=%x\n", uint64(UTS)+Shift, uint64(Text)+Shift)
	b.WriteString("SYMBOL(mem_section)=ffff88800fd2e000\n") // an array: what its pointer holds
	fmt.Fprintf(&b, "NUMBER(phys_base)=%d\n", int64(PhysBase))
	for i := range 10 {
		fmt.Fprintf(&b, "SIZE(type%d)=%d\nOFFSET(type%d.member)=%d\n", i, 16*i+16, i, 8*i)
	}
	return b.String()
}

// Phys returns where the running kernel has what was linked at an address.
func Phys(linked uint64) vmem.PhysAddr {
	return vmem.PhysAddr(linked + Shift - startKernelMap + uint64(PhysBase&(1<<64-1)))
}

// Memory returns an image of the kernel.
func (k Kernel) Memory() *pagetest.Memory {
	m := new(pagetest.Memory)
	m.Write(Notes, append([]byte(k.notes()), make([]byte, 100)...))
	m.Write(Phys(UTS), append([]byte("Linux\x00node\x00"+k.Release+"\x00"), make([]byte, 600)...))
	m.Write(Phys(Version), append([]byte(k.Banner()+"\n\x00"), make([]byte, 1200)...))
	return m
}

// Symbols returns the symbols of the kernel.
func (k Kernel) Symbols(t testing.TB) *isf.File {
	c := k.Contents()
	file, err := isf.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Contents are what Symbols is made of.
func (k Kernel) Contents() isf.Contents {
	char := &isf.Type{Kind: isf.KindBase, Name: "char"}
	c := isf.Contents{
		Metadata: isf.Metadata{Producer: isf.Producer{Name: "nodelens", Version: "0.1.0"}},
		Bases:    []isf.BaseType{{Name: "char", Size: 1, Kind: isf.BaseChar}},
		Symbols: []isf.Symbol{
			{Name: "_stext", Address: Text},
			{Name: "init_uts_ns", Address: UTS},
			{Name: "linux_banner", Address: Version, ConstantData: []byte(k.Banner() + "\n\x00")},
			{Name: "mem_section", Address: UTS + 0x1000},
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

//go:embed testdata/*.zst
var testdata embed.FS

// Vmlinux returns the kernel as an ELF file with DWARF. testdata/README.md says how it
// was made.
func (k Kernel) Vmlinux() []byte { return File(k.file() + ".vmlinux") }

func (k Kernel) file() string {
	switch k.BuildID {
	case Running.BuildID:
		return "running"
	case Rebuilt.BuildID:
		return "rebuilt"
	}
	return "older"
}

// File returns what a file in testdata holds, unpacked. It panics if there is none.
func File(name string) []byte {
	packed, err := testdata.ReadFile("testdata/" + name + ".zst")
	if err != nil {
		panic(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		panic(err)
	}
	defer z.Close()
	b, err := z.DecodeAll(packed, nil)
	if err != nil {
		panic(err)
	}
	return b
}
