package cos

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// fill fills n pages of the attacker's own with what page makes.
func (a *attack) fill(n int, page func(i int) []byte) {
	at := a.page(n)
	for i := range n {
		b := page(i)
		a.m.Write(at+vmem.PhysAddr(i*vmem.PageSize), b[:min(len(b), vmem.PageSize)])
	}
}

// opened opens the kernel with the symbols that are given, or with those of the image, and
// checks what that takes, and that it is the kernel that ran.
func (a *attack) opened(symbols *isf.File) {
	a.t.Helper()
	var got linux.Info
	alloctest.AtMost(a.t, mostAllocated, "", func() {
		k, err := linux.Open(a.t.Context(), a.m, &linux.Options{Symbols: symbols})
		if err != nil {
			a.t.Fatal(err)
		}
		got = k.Info()
	})
	want := a.k.Info()
	if got.Root != want.Root || got.KASLRShift != want.KASLRShift || got.PhysBase != want.PhysBase {
		a.t.Errorf("%+v that was %+v", got, want)
	}
}

// A memory full of VMCOREINFO, each of another kernel, of this one elsewhere, or of lines
// without end, while the kernel's own is lost.
func TestHostileVMCoreInfo(t *testing.T) {
	a := newAttack(t)
	text := ""
	for range 2 { // equal texts are found once: the kernel keeps two
		for v, err := range vmcoreinfo.Find(t.Context(), a.m) {
			if err != nil {
				t.Fatal(err)
			}
			text = v.Info.Text()
			a.m.Write(v.Addr&^(vmem.PageSize-1), make([]byte, vmem.PageSize))
		}
	}
	a.fill(1500, func(i int) []byte {
		return []byte(strings.Replace(text, "NUMBER(phys_base)=", fmt.Sprintf("NUMBER(phys_base)=%d", i+1), 1))
	})
	a.fill(1500, func(i int) []byte { return fmt.Appendf(nil, "OSRELEASE=6.1.%d\n%s", i, text) })
	a.fill(1000, func(i int) []byte { return fmt.Appendf(nil, "OSRELEASE=%d\n%s", i, strings.Repeat("a=\n=b\n", 700)) })
	a.opened(a.types)
}

// A memory full of the kernel's banner.
func TestHostileBanners(t *testing.T) {
	a := newAttack(t)
	banner := a.k.Info().Banner + "\n\x00"
	all := a.page(3500)
	a.m.Write(all, []byte(strings.Repeat(banner, 3500*vmem.PageSize/len(banner))))
	a.opened(a.types)
	a.opened(nil)
}

// A memory full of headers of BTF and of kallsyms: of sections that lie in each other, and
// that have the size of all memory.
func TestHostileTables(t *testing.T) {
	a := newAttack(t)
	le := binary.LittleEndian
	header := func(typeOff, typeLen, strOff, strLen uint32) []byte {
		b := []byte{0x9f, 0xeb, 1, 0}
		for _, v := range []uint32{24, typeOff, typeLen, strOff, strLen} {
			b = le.AppendUint32(b, v)
		}
		return b
	}
	a.fill(1500, func(i int) []byte {
		one := header(0, uint32(14<<20-i*4096), uint32(i), 1<<20)
		return bytes.Repeat(append(one, "\x00int\x00list_head\x00task_struct\x00"...), 70)
	})
	a.fill(500, func(i int) []byte { return header(0, 1<<32-4, 1<<32-1, 1<<32-1) })
	// Tokens are 256 strings one behind the other, with an index behind them; 0 to 9 and a to z are among them.
	tokens := bytes.Repeat([]byte("token\x00"), 256)
	for i := range 10 {
		copy(tokens[('0'+i)*6:], []byte{byte('0' + i), 0})
	}
	a.fill(1500, func(int) []byte { return tokens })
	a.opened(nil)
}

// A map of physical addresses of a hundred thousand entries side by side, and of as many in each other.
func TestHostileResources(t *testing.T) {
	for _, link := range []string{"sibling", "child"} {
		a := newAttack(t)
		root, err := a.k.Symbol("iomem_resource")
		if err != nil {
			t.Fatal(err)
		}
		const n = 100_000
		size := a.size("resource")
		first := a.own(n*size/vmem.PageSize + 1)
		one := a.read(a.pointer("resource", "child", root), size)
		all := bytes.Repeat(one, n)
		le := binary.LittleEndian
		offset := map[string]int{}
		for _, member := range []string{"child", "sibling", "parent"} {
			offset[member] = int(a.member("resource", member, 0))
		}
		set := func(i int, member string, v uint64) { le.PutUint64(all[i*size+offset[member]:], v) }
		for i := range n {
			set(i, "child", 0)
			set(i, "sibling", 0)
			set(i, "parent", uint64(root))
			if link == "child" && i > 0 {
				set(i, "parent", uint64(first)+uint64((i-1)*size))
			}
			if i+1 < n {
				set(i, link, uint64(first)+uint64((i+1)*size))
			}
		}
		a.write(first, all)
		a.put(a.member("resource", "child", root), uint64(first))
		k, err := linux.Open(t.Context(), a.m, &linux.Options{Symbols: a.types})
		if err != nil {
			t.Fatal(err)
		}
		found, told := 0, false
		alloctest.AtMost(t, 64<<20, link, func() {
			for _, err := range k.IOMem(t.Context()) {
				if err == nil {
					found++
				} else if vmem.ReasonOf(err) == "too-long" {
					told = true
				}
			}
		})
		if !told || found > 1<<16+1 {
			t.Errorf("%s: %d resources, told %v", link, found, told)
		}
	}
}
