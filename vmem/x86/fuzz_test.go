package x86_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	pt "github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// The fuzzed tables are fuzzFrames frames of memory that data patches: each record
// of recordSize bytes is a frame, the index of an entry in it, and the entry.
const (
	fuzzFrames = 16
	recordSize = 1 + 2 + 8
	fuzzLimit  = 2000 // elements of a walk that are compared
)

func appendRecord(b []byte, frame, index int, entry uint64) []byte {
	b = append(b, byte(frame))
	b = binary.LittleEndian.AppendUint16(b, uint16(index))
	return binary.LittleEndian.AppendUint64(b, entry)
}

// fuzzMemory returns the memory that data describes, and an address for each
// record whose translation may come across it.
func fuzzMemory(data []byte) (*pt.Memory, []vmem.VirtAddr) {
	m := new(pt.Memory)
	m.Zero(0, fuzzFrames*vmem.PageSize)
	var addrs []vmem.VirtAddr
	for ; len(data) >= recordSize; data = data[recordSize:] {
		frame, index := vmem.PhysAddr(data[0]), vmem.PhysAddr(binary.LittleEndian.Uint16(data[1:]))
		m.PutUint64(frame%fuzzFrames*vmem.PageSize+index%512*8, binary.LittleEndian.Uint64(data[3:]))
		if frame >= 0xf0 {
			m.Forget(frame%fuzzFrames*vmem.PageSize+index%512*8, 3)
		}
		i := vmem.VirtAddr(index % 512)
		addrs = append(addrs, i<<39, i<<30, i<<21, i<<12, i<<39|i<<30|i<<21|i<<12, ^(i << 39), i<<48|i<<39)
	}
	return m, addrs
}

func FuzzAddressSpace(f *testing.F) {
	for _, seed := range fuzzSeeds() {
		f.Add(seed, false, uint8(0), uint8(0))
		f.Add(seed, true, uint8(47), uint8(46))
	}
	f.Fuzz(checkAddressSpace)
}

func checkAddressSpace(t *testing.T, data []byte, five bool, encryptionBit, physBits uint8) {
	m, addrs := fuzzMemory(data[:min(len(data), 64*recordSize)])
	o := &oracle{mem: m, levels: 4, encryption: 1 << encryptionBit &^ 1, physBits: int(physBits), limit: fuzzLimit}
	if five {
		o.levels = 5
	}
	opts := &x86.Options{Levels: o.levels, EncryptionMask: o.encryption, PhysBits: o.physBits}
	as, err := x86.NewAddressSpace(vmem.NewPhysical(m), 0, opts)
	if err != nil {
		return
	}
	if physBits == 0 {
		o.physBits = 52
	}
	want := o.list()
	got := collect(t, as, userHalf, fuzzLimit)
	if len(got) < fuzzLimit {
		got = append(got, collect(t, as, kernelHalf, fuzzLimit)...)
	}
	want, got = want[:min(len(want), fuzzLimit)], got[:min(len(got), fuzzLimit)]
	if diff := cmp.Diff(want, got, equateErrors, equateEmpty); diff != "" {
		t.Errorf("Mappings (-want +got):\n%s", diff)
	}
	for _, va := range addrs {
		fuzzAddress(t, m, as, va, want)
	}
}

// fuzzAddress translates and reads at one address. Where the walk found a page the
// translation must be the same.
func fuzzAddress(t *testing.T, m *pt.Memory, as *vmem.AddressSpace, va vmem.VirtAddr, walk []step) {
	mapping, err := as.Translate(va)
	if err != nil {
		asFault(t, err)
	}
	if s := find(walk, va); s != nil && s.Fault == nil && (err != nil || mapping != s.Mapping) {
		t.Errorf("Translate(%v) = %+v, %v, want %+v", va, mapping, err, s.Mapping)
	}
	if err == nil {
		checkRead(t, m, as, va, mapping.At(va))
	}
	if _, err := as.Uint64(va + 0xffc); err != nil {
		asFault(t, err)
	}
	if _, err := as.CString(va, 64); err != nil {
		asFault(t, err)
	}
}

// fuzzSeeds returns tables with all kinds of entries.
func fuzzSeeds() [][]byte {
	const table, leaf = pt.Table, pt.Present | pt.User
	down := appendRecord(nil, 0, 0, 1<<12|table)
	down = appendRecord(down, 1, 0, 2<<12|table)
	down = appendRecord(down, 2, 0, 3<<12|table)
	pages := appendRecord(down, 3, 0, 4<<12|leaf)
	pages = appendRecord(pages, 3, 1, swapEntry(3, 77))
	pages = appendRecord(pages, 3, 2, inverted(5<<12)|pt.ProtNone)
	pages = appendRecord(pages, 2, 1, 0x20_0000|leaf|pt.Large)
	pages = appendRecord(pages, 2, 2, inverted(0x40_0000)|pt.ProtNone|pt.Large)
	pages = appendRecord(pages, 1, 1, 0x4000_0000|leaf|pt.Large|1<<47)
	kernelPages := appendRecord(appendRecord(nil, 0, 511, 1<<12|table|pt.NX), 1, 511, 0|leaf|pt.Large)
	loop := appendRecord(appendRecord(down, 3, 5, 4<<12|leaf), 2, 7, 1<<12|table)
	shared := appendRecord(appendRecord(appendRecord(pages, 0, 1, 1<<12|table), 1, 2, 2<<12|table), 2, 3, 3<<12|table)
	damaged := appendRecord(appendRecord(pages, 0xf3, 9, 0), 1, 4, 9<<40|table)
	return [][]byte{nil, pages, kernelPages, loop, shared, damaged}
}
