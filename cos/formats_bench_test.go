package cos

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// BenchmarkFormats reads the bundled image in each format that can be made of it here:
// opens it, reads pages at random (cold: most have to be decoded; warm: none) and all of
// it in order, against the speed of copying memory.
func BenchmarkFormats(b *testing.B) {
	if testing.Short() {
		b.Skip("packing takes long")
	}
	plain := bundled(b).Path
	b.Run("copy", func(b *testing.B) {
		from, to := make([]byte, 64<<20), make([]byte, 64<<20)
		b.SetBytes(int64(len(from)))
		for b.Loop() {
			copy(to, from)
		}
	})
	b.Run("plain", func(b *testing.B) { benchFormat(b, plain) })
	for _, p := range packingsOfLiME {
		b.Run(p.name, func(b *testing.B) {
			packed := filepath.Join(b.TempDir(), "packed")
			run(b, p, plain, packed)
			benchFormat(b, packed)
		})
	}
}

func benchFormat(b *testing.B, name string) {
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			openImage(b, name).Close()
		}
	})
	f := openImage(b, name)
	ranges := f.Ranges()
	all := ranges[len(ranges)-1] // the first are small
	b.Run("cold", func(b *testing.B) { benchPages(b, f.Memory, all) })
	all.Size = min(all.Size, 8<<20)
	b.Run("warm", func(b *testing.B) {
		readThrough(b, f.Memory, all)
		benchPages(b, f.Memory, all)
	})
	b.Run("sequential", func(b *testing.B) {
		all := ranges[len(ranges)-1]
		b.SetBytes(int64(all.Size))
		b.ReportAllocs()
		for b.Loop() {
			readThrough(b, f.Memory, all)
		}
	})
}

func benchPages(b *testing.B, m vmem.Memory, r vmem.Range[vmem.PhysAddr]) {
	rng := rand.New(rand.NewPCG(1, 2))
	page := make([]byte, vmem.PageSize)
	b.SetBytes(vmem.PageSize)
	b.ReportAllocs()
	for b.Loop() {
		at := int64(r.Start) + rng.Int64N(int64(r.Size/vmem.PageSize))*vmem.PageSize
		if _, err := m.ReadAt(page, at); err != nil {
			b.Fatal(err)
		}
	}
}

func readThrough(b *testing.B, m vmem.Memory, r vmem.Range[vmem.PhysAddr]) {
	buf := make([]byte, 1<<20)
	for off := uint64(0); off < r.Size; off += uint64(len(buf)) {
		if _, err := m.ReadAt(buf[:min(uint64(len(buf)), r.Size-off)], int64(r.Start)+int64(off)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenAVML4GiB opens a compressed AVML image of 4 GiB and more, which repeats the
// bundled one: the index alone, nothing is decoded.
func BenchmarkOpenAVML4GiB(b *testing.B) {
	packed := filepath.Join(b.TempDir(), "packed")
	for _, p := range packingsOfLiME {
		if p.name == "avml" {
			run(b, p, bundled(b).Path, packed)
		}
	}
	image, err := os.ReadFile(packed)
	if err != nil {
		b.Fatal(err)
	}
	r := newRepeated(b, image)
	b.SetBytes(4 << 30)
	b.ReportAllocs()
	for b.Loop() {
		f, err := lime.NewFile(r, r.size)
		if err != nil {
			b.Fatal(err)
		}
		if top := f.Ranges()[len(f.Ranges())-1]; uint64(top.Start)+top.Size < 4<<30 {
			b.Fatalf("ends with %v", top)
		}
	}
}

// repeated is an AVML image repeated, each time at higher addresses.
type repeated struct {
	image   []byte
	headers []int64 // where in it
	span    uint64  // the distance of the addresses
	size    int64   // of all
}

func newRepeated(b *testing.B, image []byte) *repeated {
	b.Helper()
	r := &repeated{image: image}
	for off := 0; off < len(image); {
		r.headers = append(r.headers, int64(off))
		end := binary.LittleEndian.Uint64(image[off+16:])
		r.span = (end/(1<<24) + 1) << 24
		next := bytes.Index(image[off+4:], []byte("AVML\x02\x00\x00\x00"))
		if next < 0 {
			break
		}
		off += 4 + next
	}
	r.size = int64(len(image)) * int64((4<<30)/r.span+1)
	return r
}

// ReadAt implements [io.ReaderAt].
func (r *repeated) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < r.size {
		i, at := off/int64(len(r.image)), off%int64(len(r.image))
		k := copy(p[n:], r.image[at:])
		for _, h := range r.headers {
			r.patch(p[n:n+k], at, h+8, uint64(i)*r.span)
			r.patch(p[n:n+k], at, h+16, uint64(i)*r.span)
		}
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// patch adds to the address at offset field of the image, as far as it lies in p, the
// bytes from offset at on.
func (r *repeated) patch(p []byte, at, field int64, add uint64) {
	if field+8 <= at || field >= at+int64(len(p)) {
		return
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], binary.LittleEndian.Uint64(r.image[field:])+add)
	if from := field - at; from >= 0 {
		copy(p[from:], b[:])
	} else {
		copy(p, b[-from:])
	}
}
