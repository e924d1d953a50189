package btfconv

import (
	"encoding/binary"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// lies are what a second VMCOREINFO may say that lies before the kernel's own: what is wrong
// in it is not believed, wherever the kernel itself says otherwise.
var lies = map[string]struct{ line, instead string }{
	"KERNELOFFSET":  {`KERNELOFFSET=[0-9a-f]+`, "KERNELOFFSET=2c000000"},
	"link address":  {`KERNELOFFSET=[0-9a-f]+`, "KERNELOFFSET=200000"},
	"_stext":        {`SYMBOL\(_stext\)=ffffffff`, "SYMBOL(_stext)=fffffff0"},
	"phys_base":     {`NUMBER\(phys_base\)=`, "NUMBER(phys_base)=4"},
	"size":          {`SIZE\(list_head\)=16`, "SIZE(list_head)=24"},
	"kallsyms":      {`SYMBOL\(kallsyms_names\)=ffffffff`, "SYMBOL(kallsyms_names)=fffffff0"},
	"no offset":     {`KERNELOFFSET=[0-9a-f]+\n`, ""},
	"page table":    {`SYMBOL\(swapper_pg_dir\)=ffffffff`, "SYMBOL(swapper_pg_dir)=fffffff0"},
	"init_uts_ns":   {`SYMBOL\(init_uts_ns\)=ffffffff`, "SYMBOL(init_uts_ns)=fffffff0"},
	"nothing wrong": {`\z`, ""},
}

func TestFromMemoryLyingNotes(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		f, report := wholeDatabase(t, image)
		want := contents(f)
		var own vmcoreinfo.Found
		for found, err := range vmcoreinfo.Find(t.Context(), mem) {
			if err != nil {
				t.Fatal(err)
			}
			own = found
			break
		}
		if own.Info == nil {
			t.Skip("no VMCOREINFO in memory")
		}
		for i, name := range slices.Sorted(maps.Keys(lies)) {
			if !testimages.Thorough() && i%2 > 0 {
				continue
			}
			lie := lies[name]
			text := regexp.MustCompile(lie.line).ReplaceAllString(own.Info.Text(), lie.instead)
			note := binary.LittleEndian.AppendUint32(nil, 11)
			note = binary.LittleEndian.AppendUint32(note, uint32(len(text)))
			note = append(append(note, "\x00\x00\x00\x00VMCOREINFO\x00\x00"...), text...)
			note = append(note, make([]byte, vmem.PageSize-len(note))...)
			f, got, err := FromMemory(t.Context(), &patched{mem, emptyPage(t, mem, own.Addr), note}, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got.KASLRShift != report.KASLRShift || got.TextPhys != report.TextPhys {
				t.Errorf("%s: KASLR shift %#x, text at %v, want %#x and %v", name, got.KASLRShift, got.TextPhys, report.KASLRShift, report.TextPhys)
			}
			if diff := differences(want, contents(f)); diff != "" {
				t.Errorf("%s (-want +got): %s", name, diff)
			}
			if told := slices.ContainsFunc(f.Lost(), func(err error) bool { return errors.Is(err, ErrConflict) }); told != strings.HasPrefix(lie.instead, "KERNELOFFSET") {
				t.Errorf("%s: lost %v", name, f.Lost())
			}
		}
	})
}

// emptyPage returns a page of zeros before the own VMCOREINFO, in the part of memory in which
// that is looked for first: from 16 MiB on.
func emptyPage(t *testing.T, mem vmem.Memory, own vmem.PhysAddr) vmem.PhysAddr {
	t.Helper()
	for at := vmem.PhysAddr(16 << 20); at < own; at += vmem.PageSize {
		if b := readUpTo(mem, at, vmem.PageSize); len(b) == vmem.PageSize && isZero(b) {
			return at
		}
	}
	t.Skip("no page of zeros")
	return 0
}
