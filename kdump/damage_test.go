package kdump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// sumOf returns how much memory the ranges and the gaps of an image are together.
func sumOf(f *File) (have, lost uint64) {
	for _, r := range f.Ranges() {
		have += r.Size
	}
	for _, g := range f.Gaps() {
		lost += g.Place.Physical().Size
	}
	return have, lost
}

// Wherever an image is cut off, what precedes the cut is there, and the rest is a gap.
func TestCut(t *testing.T) {
	all := truth(t)
	for _, name := range []string{"none", "zlib", "snappy", "flat", "qemu-flat"} {
		file := fixture(t, name+".kdump")
		whole := open(t, file)
		size, _ := sumOf(whole)
		headers := whole.index.descriptors
		last := uint64(0)
		for cut := len(file) - 1; cut > 0; cut -= 1 + len(file)/40 {
			f, err := NewFile(bytes.NewReader(file[:cut]), int64(cut))
			if err != nil {
				if !errors.Is(err, ErrFormat) || int64(cut) >= headers {
					t.Errorf("%s cut to %d bytes: %v", name, cut, err)
				}
				continue
			}
			have, lost := sumOf(f)
			if len(f.Gaps()) == 0 || int64(cut) > headers+headers && have+lost != size || last != 0 && have > last {
				t.Errorf("%s cut to %d bytes: %d bytes of memory, %d lost, of %d: %v", name, cut, have, lost, size, f.Gaps())
			}
			last = have
			checkMemory(t, f, all)
			for _, g := range f.Gaps() {
				if !errors.Is(g.Err, ErrTruncated) && !errors.Is(g.Err, ErrNotWritten) {
					t.Errorf("%s cut to %d bytes: gap %v", name, cut, g.Error())
				}
				if g.Place.Physical().Size == 0 {
					continue
				}
				if n, err := f.ReadAt(make([]byte, 1), int64(g.Place.Physical().Start)); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
					t.Errorf("%s cut to %d bytes: read in a gap: %d, %v", name, cut, n, err)
				}
			}
		}
		if last == size {
			t.Errorf("%s: no cut lost anything", name)
		}
	}
}

// makedumpfile ran out of disk: it says so, and leaves descriptors empty.
func TestIncomplete(t *testing.T) {
	f := open(t, fixture(t, "incomplete.kdump"))
	have, lost := sumOf(f)
	if !f.Header().Incomplete || have == 0 || lost == 0 || have+lost != ram.Size {
		t.Errorf("header %+v, %d bytes of memory, %d lost", f.Header(), have, lost)
	}
	checkMemory(t, f, truth(t))
	for _, g := range f.Gaps() {
		if !errors.Is(g.Err, ErrNotWritten) && !errors.Is(g.Err, ErrTruncated) {
			t.Error(g.Error())
		}
		if n, err := f.ReadAt(make([]byte, 1), int64(g.Place.Physical().Start)); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
			t.Errorf("read in a gap: %d, %v", n, err)
		}
	}
}

// A page that is not in the second bitmap but in the first was excluded.
func TestExcluded(t *testing.T) {
	file := bytes.Clone(fixture(t, "none.kdump"))
	last := int(open(t, file).index.second) + int(ram.Size/blockSize/8) - 1
	file[last] &^= 0x80
	f := open(t, file)
	want := mem(0, ram.Size-blockSize)
	if d := cmp.Diff([]physRange{want}, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	checkMemory(t, f, truth(t))
	checkGaps(t, f, []lostPages{{physRange{}, ErrDamaged}, {physRange{}, ErrExcluded}}) // there is a descriptor for it all the same
	b := make([]byte, 2*blockSize)
	n, err := f.ReadAt(b, int64(want.Size)-10)
	if n != 10 || !errors.Is(err, ErrExcluded) || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("read into an excluded page: %d, %v", n, err)
	}
	if _, err := f.ReadAt(b, int64(ram.Size)); errors.Is(err, ErrExcluded) || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("read where no memory is: %v", err)
	}
}

// Damage that only reading shows loses that page, and is listed from then on.
func TestDamagedPage(t *testing.T) {
	const page = 0x100 // the first at 1 MiB
	for name, damage := range map[string]func(file []byte, desc, data int) []byte{
		"data":     func(file []byte, _, data int) []byte { return edit(file, data+8, ^uint64(0)) },
		"flags":    func(file []byte, desc, _ int) []byte { return edit(file, desc+12, uint32(0x40)) },
		"two ways": func(file []byte, desc, _ int) []byte { return edit(file, desc+12, uint32(3)) },
		"other":    func(file []byte, desc, _ int) []byte { return edit(file, desc+12, uint32(Snappy)) },
		"zstd":     func(file []byte, desc, _ int) []byte { return edit(file, desc+12, uint32(Zstd)) },
		"size":     func(file []byte, desc, _ int) []byte { return edit(file, desc+8, ^uint32(0)) },
		"no size":  func(file []byte, desc, _ int) []byte { return edit(file, desc+8, uint32(0)) },
		"offset":   func(file []byte, desc, _ int) []byte { return edit(file, desc, ^uint64(0)) },
		"header":   func(file []byte, desc, _ int) []byte { return edit(file, desc, uint64(8)) },
		"behind":   func(file []byte, desc, _ int) []byte { return edit(file, desc, uint64(len(file))) },
		"none":     func(file []byte, desc, _ int) []byte { return edit(file, desc, uint64(0)) },
	} {
		file := fixture(t, "zlib.kdump")
		desc := int(open(t, file).index.descriptors) + page*descriptorSize
		f := open(t, damage(file, desc, int(binary.LittleEndian.Uint64(file[desc:]))))
		checkGaps(t, f, nil)
		for _, size := range []int{10, blockSize, bulk} {
			b := make([]byte, size)
			if n, err := f.ReadAt(b, page*blockSize); n != 0 || !errors.Is(err, vmem.ErrNotCaptured) {
				t.Errorf("%s: read of %d bytes: %d, %v", name, size, n, err)
			}
		}
		gaps := f.Gaps()
		if len(gaps) != 1 || gaps[0].Place.Physical() != mem(page*blockSize, blockSize) {
			t.Errorf("%s: gaps %v", name, gaps)
		}
		if n, err := f.ReadAt(make([]byte, blockSize), (page+1)*blockSize); err != nil {
			t.Errorf("%s: the page behind: %d, %v", name, n, err)
		}
	}
}

// The sub header of a kernel's dump points to its VMCOREINFO, and to what was erased.
func TestVMCoreInfo(t *testing.T) {
	file := fixture(t, "zlib.kdump")
	if _, err := open(t, file).VMCoreInfo(); !errors.Is(err, vmcoreinfo.ErrNoNote) {
		t.Errorf("without VMCOREINFO: %v", err)
	}
	info, erased := "OSRELEASE=6.1.0\nPAGESIZE=4096\n", "erase __log_buf.text\n"
	end := uint64(len(file))
	file = append(file, info+erased...)
	for at, v := range map[int]uint64{
		atVMCoreInfo: end, atVMCoreInfo + 8: uint64(len(info)),
		atEraseInfo: end + uint64(len(info)), atEraseInfo + 8: uint64(len(erased)),
	} {
		file = edit(file, blockSize+at, v)
	}
	f := open(t, file)
	if v, err := f.VMCoreInfo(); err != nil || v.Text() != info {
		t.Errorf("%v, %v", v, err)
	}
	if s := f.EraseInfo(); s != erased {
		t.Errorf("erased %q", s)
	}
	checkGaps(t, f, []lostPages{{physRange{}, ErrErased}})
}

// Headers of earlier versions are shorter, and say less.
func TestVersions(t *testing.T) {
	all := truth(t)
	for version := range uint32(8) {
		f := open(t, edit(fixture(t, "zlib.kdump"), atVersion, version))
		if d := cmp.Diff([]physRange{ram}, f.Ranges()); d != "" {
			t.Errorf("version %d: ranges (-want +got):\n%s", version, d)
		}
		if h := f.Header(); (version >= 1) != (h.Level == ExcludeZero) || (version >= 4) != (len(f.Notes()) > 0) || h.Version != int(version) {
			t.Errorf("version %d: header %+v, %d notes", version, h, len(f.Notes()))
		}
		checkMemory(t, f, all)
		checkGaps(t, f, nil)
	}
	split := fixture(t, "split2.kdump")
	want := open(t, split).Ranges()
	f := open(t, edit(edit(split, atVersion, uint32(5)), blockSize+atStart64, uint64(7))) // which version 5 does not have
	if d := cmp.Diff(want, f.Ranges()); d != "" {
		t.Errorf("split dump, version 5: ranges (-want +got):\n%s", d)
	}
	checkMemory(t, f, all)
}

// A bitmap of every second page, and no pages: what is lost is a bounded list.
func TestManyGaps(t *testing.T) {
	const pages = 1 << 20
	file := edit(edit(fixture(t, "none.kdump")[:2*blockSize], blockSize+atMax64, uint64(pages)), atMapBlocks, uint32(2*pages/8/blockSize))
	file = append(file, bytes.Repeat([]byte{0x55}, 2*pages/8)...)
	f := open(t, file)
	gaps := f.Gaps()
	if have, _ := sumOf(f); have != 0 || len(gaps) != maxGaps+1 || !errors.Is(gaps[maxGaps].Err, ErrTooMany) {
		t.Errorf("%d bytes of memory, %d gaps, the last %v", have, len(gaps), gaps[len(gaps)-1].Error())
	}
}

func TestNotKdump(t *testing.T) {
	file, flat := fixture(t, "zlib.kdump"), fixture(t, "flat.kdump")
	for name, b := range map[string][]byte{
		"empty":            nil,
		"text":             []byte("KDUMP is a format"),
		"cut in signature": file[:7],
		"cut in header":    file[:400],
		"cut in subheader": file[:blockSize+50],
		"64 KiB pages":     edit(file, atBlockSize, uint32(65536)),
		"big-endian":       edit(file, atVersion, uint32(6<<24)),
		"huge sub header":  edit(file, atSubBlocks, ^uint32(0)),
		"small bitmap":     edit(file, atMapBlocks, uint32(0)),
		"huge memory":      edit(file, blockSize+atMax64, ^uint64(0)),
		"flattened type":   edit(flat, 16, uint32(7)),
		"flattened, empty": flat[:flatHeader],
	} {
		f, err := NewFile(bytes.NewReader(b), int64(len(b)))
		if !errors.Is(err, ErrFormat) || f != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if _, err := NewFile(failing{}, 1<<20); !errors.Is(err, errBroken) {
		t.Errorf("a disk that fails: %v", err)
	}
}

var errBroken = errors.New("broken disk")

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

// The header of diskdump has the same fields, and behind it no sub header of kdump.
func TestDiskdump(t *testing.T) {
	file := fixture(t, "lzo.kdump")
	copy(file, sigDiskdump)
	f := open(t, file)
	checkMemory(t, f, truth(t))
	if d := cmp.Diff([]physRange{ram}, f.Ranges()); d != "" || len(f.Notes()) != 0 {
		t.Errorf("%d notes, ranges (-want +got):\n%s", len(f.Notes()), d)
	}
}

// Pieces of a flattened image may be in any order, overwrite one another, and be empty.
func TestFlatPieces(t *testing.T) {
	piece := func(off int64, data string) string {
		b := binary.BigEndian.AppendUint64(nil, uint64(off))
		return string(binary.BigEndian.AppendUint64(b, uint64(len(data)))) + data
	}
	head := flatSignature + "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x01"
	head += strings.Repeat("\x00", flatHeader-len(head))
	var many strings.Builder
	for i := range 5 * groupPieces {
		many.WriteString(piece(int64(1000+3*((i*7)%(5*groupPieces))), string(rune('A'+i%26))+"--") + piece(5, ""))
	}
	file := head + piece(20, "klmno") + piece(0, "abcdefgh") + piece(3, "DE") + piece(18, "ij") + many.String() + piece(23, "NOP") + piece(0, "A") +
		strings.Repeat("\xff", pieceHeader)
	f, err := newFlat(strings.NewReader(file), int64(len(file)))
	if err != nil || f.err != nil {
		t.Fatal(err, f.err)
	}
	b := make([]byte, 30)
	if n, err := f.ReadAt(b, 0); string(b[:n]) != "AbcDEfgh" || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", b[:n], err)
	}
	if n, err := f.ReadAt(b, 18); string(b[:n]) != "ijklmNOP" || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", b[:n], err)
	}
	for i := range 5 * groupPieces {
		at := int64(1000 + 3*((i*7)%(5*groupPieces)))
		if n, err := f.ReadAt(b[:1], at); n != 1 || err != nil || b[0] != byte('A'+i%26) {
			t.Errorf("at %d: %q, %v, want %c", at, b[:n], err, 'A'+i%26)
		}
	}
	if f.covers(8, 1) || !f.covers(18, 8) || f.covers(18, 9) || f.Size() != 1000+15*groupPieces {
		t.Errorf("covers [8], [18, 25], [18, 26]: %v %v %v; %d bytes", f.covers(8, 1), f.covers(18, 8), f.covers(18, 9), f.Size())
	}
}
