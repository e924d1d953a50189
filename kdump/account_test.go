package kdump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/vmem"

	"github.com/nodelens/nodelens/internal/testimages"
)

// A bit of the bitmap that is wrong moves all pages behind it, and is told.
func TestBitmapDamaged(t *testing.T) {
	testimages.Long(t)
	for _, name := range []string{"none", "zlib", "snappy", "qemu-raw"} {
		file := fixture(t, name+".kdump")
		whole := open(t, file)
		if gaps := whole.Gaps(); len(gaps) > 1 {
			t.Fatalf("%s: %v", name, gaps)
		}
		if whole.Header().Flattened {
			t.Fatalf("%s: flattened: offsets of the index are not those of the file", name)
		}
		used := int64(whole.index.pages+7) / 8
		for at := whole.index.second; at < whole.index.second+used; at += 1 + used/64 {
			for bit := range 8 {
				b := bytes.Clone(file)
				b[at] ^= 1 << bit
				f := open(t, b)
				told := false
				for _, g := range f.Gaps() {
					told = told || errors.Is(g, ErrDamaged)
				}
				if f.index.count != whole.index.count && !told {
					t.Errorf("%s: bit %d of byte %#x: %v", name, bit, at, f.Gaps())
				}
			}
		}
	}
}

// Whatever stands in the headers, what is allocated for it is in proportion to the file, and
// what is read is that memory or none.
func TestHostileHeaders(t *testing.T) {
	file := fixture(t, "zlib.kdump")
	all := []uint64{0, 1, 0xffff, 1<<31 - 1, 1<<32 - 1, 1<<63 - 1, 1<<64 - 1}
	refused, opened := 0, 0
	for at := 8; at < blockSize+subSize; at += 4 {
		switch at {
		case atUname:
			at += unameFields*unameField - unameFields*unameField%4
		case mainSize:
			at = blockSize
		}
		for _, v := range all {
			b := bytes.Clone(file)
			if v>>32 == 0 {
				binary.LittleEndian.PutUint32(b[at:], uint32(v))
			} else {
				binary.LittleEndian.PutUint64(b[at:], v)
			}
			alloctest.AtMost(t, 48<<20, fmt.Sprintf("%#x at %#x", v, at), func() {
				f, err := NewFile(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					refused++
					if !errors.Is(err, ErrFormat) {
						t.Errorf("%#x at %#x: %v", v, at, err)
					}
					return
				}
				opened++
				for _, r := range f.Ranges()[:min(len(f.Ranges()), 10)] {
					_, _ = f.ReadAt(make([]byte, vmem.PageSize), int64(r.Start))
				}
				_, _ = f.VMCoreInfo()
				_ = f.Gaps()
			})
		}
	}
	if refused == 0 || opened == 0 {
		t.Errorf("%d refused, %d opened", refused, opened)
	}
}

// Whichever byte of a header, of a bitmap or of a descriptor is damaged: each page is as it was, or
// where it is not that is told, by a gap or by the error of who reads it.
func TestEveryByte(t *testing.T) {
	all := truth(t)
	for _, name := range []string{"none", "zlib", "lzo", "snappy", "zstd", "qemu-raw"} {
		file := fixture(t, name+".kdump")
		whole := open(t, file)
		x := whole.index
		step := int64(1021)
		if !testimages.Thorough() {
			step = 2999
		}
		data := x.descriptors + int64(x.count)*descriptorSize
		for at := int64(0); at < data; at += step {
			if at > blockSize+subSize && at < x.second || at > x.second+int64(x.pages/8) && at < x.descriptors {
				continue // nothing is there, or what the machine has and the dump lacks
			}
			for _, value := range []byte{0, 0xff, file[at] ^ 1, file[at] ^ 0x80} {
				if value == file[at] {
					continue
				}
				b := bytes.Clone(file)
				b[at] = value
				f, err := NewFile(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					continue // refused as a whole
				}
				if lost := untold(f, whole, all); lost != "" {
					t.Errorf("%s: byte %#x is %#x, descriptors from %#x on: %s; gaps %v", name, at, value, x.descriptors, lost, f.Gaps())
				}
			}
		}
	}
}

// untold goes over all pages of a whole dump, and says which is not what it was where f tells of
// nothing.
func untold(f, whole *File, all map[vmem.PhysAddr][]byte) string {
	page := make([]byte, blockSize)
	for _, r := range whole.Ranges() {
		want := all[ram.Start][min(uint64(r.Start), ram.Size):]
		if r.Start >= firmware.Start {
			want = all[firmware.Start][r.Start-firmware.Start:]
		}
		for off := uint64(0); off < r.Size; off += blockSize {
			n, err := f.ReadAt(page, int64(uint64(r.Start)+off))
			if err == nil && n == blockSize && bytes.Equal(page, want[off:off+blockSize]) {
				continue
			}
			if len(f.Gaps()) <= len(whole.Gaps()) {
				return fmt.Sprintf("page at %v: %d bytes, %v", r.Start+vmem.PhysAddr(off), n, err)
			}
		}
	}
	return ""
}
