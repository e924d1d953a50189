package capture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// byPage compares pages as a whole: byte by byte it takes cmp a second.
var byPage = cmp.Comparer(bytes.Equal)

// captureOf captures m, and checks that the manifest says of the image what it is.
func captureOf(t *testing.T, m *coretest.Machine, opts Options) ([]byte, *Manifest) {
	t.Helper()
	opts.Root = m
	var image bytes.Buffer
	manifest, err := Run(t.Context(), &image, &opts)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(image.Bytes())
	if manifest.Image.Bytes != int64(image.Len()) || manifest.Image.SHA256 != hex.EncodeToString(sum[:]) || manifest.Image.Format != opts.Format {
		t.Errorf("image of %d bytes, %x: the manifest says %+v", image.Len(), sum, manifest.Image)
	}
	return image.Bytes(), manifest
}

func TestRunLiME(t *testing.T) {
	m := coretest.NewMachine()
	image, manifest := captureOf(t, m, Options{Node: "pool-1-node", Tool: "test 1"})
	pages, order := parseLiME(t, image)
	if d := cmp.Diff(m.All(), pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	if !slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
	core, err := kcore.NewFile(bytes.NewReader(m.Files["proc/kcore"].Data), int64(len(m.Files["proc/kcore"].Data)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Manifest{
		Schema: "nodelens/capture/v1", Tool: "test 1", Order: OrderAscending,
		Node: Node{
			Name: "pool-1-node", Hostname: "node-1", Release: "6.1.0", Version: "Linux version 6.1.0 (gcc)", CmdLine: "root=/dev/vda",
			BootID: "0d3b0f0e-0001-4a4b-8c8d-000000000001", MachineID: "0123456789abcdef0123456789abcdef",
			OSRelease: map[string]string{"ID": "cos", "NAME": `Container-Optimized "OS"`, "VERSION": "113"},
		},
		Headers: core.Segments(), VMCoreInfo: "OSRELEASE=6.1.0\n", IOMem: coretest.IOMem,
		RAM:   []Extent{{0x1000, 0x8c00}, {0x100000, 0x40000}, {0x200000, 0x10000}},
		Edges: []Extent{{0x9000, 0xc00}},
		Pieces: []Piece{
			{Extent: Extent{0x1000, 0x8000}, Pass: "all", Memory: 0x8000},
			{Extent: Extent{0x100000, 0x40000}, Pass: "all", Memory: 0x40000},
			{Extent: Extent{0x200000, 0x10000}, Pass: "all", Memory: 0x10000},
		},
		Missing: []Missing{}, LeftOut: []ClassSize{}, Kept: []ClassSize{}, Notes: []string{},
		Image: Image{Memory: 0x58000},
	}
	opts := cmp.Options{cmpopts.IgnoreTypes(time.Time{}), cmpopts.IgnoreFields(Image{}, "Bytes", "SHA256")}
	if d := cmp.Diff(want, manifest, opts); d != "" {
		t.Errorf("manifest (-want +got):\n%s", d)
	}
	if !manifest.Whole() || manifest.Ended.Before(manifest.Began) {
		t.Errorf("whole %v, from %v to %v", manifest.Whole(), manifest.Began, manifest.Ended)
	}
	at := manifest.Began
	for _, p := range manifest.Pieces {
		if p.Began.Before(at) || p.Ended.Before(p.Began) {
			t.Errorf("piece %v from %v to %v, after %v", p.Extent, p.Began, p.Ended, at)
		}
		at = p.Began
	}
}

func TestRunAVML(t *testing.T) {
	m := coretest.NewMachine()
	image, _ := captureOf(t, m, Options{Format: FormatAVML})
	pages, _ := parseRecords(t, image, func(b []byte, size int) ([]byte, int) {
		if !bytes.HasPrefix(b, []byte("AVML\x02\x00\x00\x00")) || string(b[32:42]) != "\xff\x06\x00\x00sNaPpY" {
			t.Fatalf("record begins with % x", b[:42])
		}
		used := 32
		for got := 0; got < size; { // chunks: a type, a length of 24 bits
			head := binary.LittleEndian.Uint32(b[used:])
			kind, length := head&0xff, int(head>>8)
			switch kind {
			case 0:
				n, err := snappy.DecodedLen(b[used+8 : used+4+length])
				if err != nil {
					t.Fatal(err)
				}
				got += n
			case 1:
				got += length - 4
			case 0xff:
			default:
				t.Fatalf("chunk of type %#x", kind)
			}
			used += 4 + length
		}
		if n := binary.LittleEndian.Uint64(b[used:]); n != uint64(used-32) {
			t.Errorf("a stream of %d bytes says it has %d", used-32, n)
		}
		data, err := io.ReadAll(snappy.NewReader(bytes.NewReader(b[32:used])))
		if err != nil {
			t.Fatal(err)
		}
		return data, used + 8
	})
	if d := cmp.Diff(m.All(), pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
}

func TestRunLZ4(t *testing.T) {
	m := coretest.NewMachine()
	image, manifest := captureOf(t, m, Options{Format: FormatLiMELZ4})
	lime, err := io.ReadAll(lz4.NewReader(bytes.NewReader(image)))
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := parseLiME(t, lime)
	if d := cmp.Diff(m.All(), pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	at := bytes.LastIndex(image, []byte("\x5e\x2a\x4d\x18"))
	if size := binary.LittleEndian.Uint32(image[at+4:]); int(size) != len(image)-at-8 {
		t.Fatalf("the skippable frame at %d of %d has %d bytes", at, len(image), size)
	}
	var embedded Manifest
	if err := json.Unmarshal(image[at+8:], &embedded); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(image[:at])
	if embedded.Image.Bytes != int64(at) || embedded.Image.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("the manifest in the image says %+v of %d bytes, %x", embedded.Image, at, sum)
	}
	if d := cmp.Diff(manifest, &embedded, cmpopts.IgnoreFields(Image{}, "Bytes", "SHA256"), cmpopts.IgnoreFields(Manifest{}, "Ended")); d != "" {
		t.Errorf("manifest beside and inside the image (-beside +inside):\n%s", d)
	}
}

func TestRunUnreadable(t *testing.T) {
	m := coretest.NewMachine()
	m.Bad = []vmem.PhysAddr{0x1000, 0x5123, 0x6000, 0x13ffff}
	image, manifest := captureOf(t, m, Options{})
	want := m.All()
	for _, page := range []vmem.PhysAddr{0x1000, 0x5000, 0x6000, 0x13f000} {
		delete(want, page)
	}
	pages, _ := parseLiME(t, image)
	if d := cmp.Diff(want, pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	missing := []Missing{
		{Extent{0x1000, 0x1000}, "bad address"}, {Extent{0x5000, 0x2000}, "bad address"}, {Extent{0x13f000, 0x1000}, "bad address"},
	}
	if d := cmp.Diff(missing, manifest.Missing); d != "" || manifest.Whole() {
		t.Errorf("whole %v, missing (-want +got):\n%s", manifest.Whole(), d)
	}
	if manifest.Image.Memory != 0x54000 {
		t.Errorf("memory %#x", manifest.Image.Memory)
	}
}

func TestRunWhatIOMemAndKCoreDisagreeOn(t *testing.T) {
	m := coretest.NewMachine()
	m.Files[iomemName].Data = []byte("00001000-00008fff : System RAM\n00100000-00103017 : System RAM\n00103018-00141fff : System RAM\n")
	_, manifest := captureOf(t, m, Options{})
	missing := []Missing{{Extent{0x140000, 0x2000}, "not in /proc/kcore"}}
	if d := cmp.Diff(missing, manifest.Missing); d != "" {
		t.Errorf("missing (-want +got):\n%s", d)
	}
	notes := []string{"/proc/kcore has memory [0x200000, 0x20ffff], which /proc/iomem does not call RAM: not captured"}
	if d := cmp.Diff(notes, manifest.Notes); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
}

func TestRunRefused(t *testing.T) {
	m := coretest.NewMachine()
	m.Files[iomemName].Data = []byte("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n")
	manifest, err := Run(t.Context(), io.Discard, &Options{Root: m})
	refusal, ok := errors.AsType[*kcore.Refusal](err)
	if !ok || !errors.Is(err, memmap.ErrHidden) || !strings.Contains(refusal.Fix, "CAP_SYS_ADMIN") || manifest != nil {
		t.Errorf("addresses hidden: %v, manifest %v", err, manifest)
	}
}

func TestRunNothing(t *testing.T) {
	m := coretest.NewMachine()
	m.Files[iomemName].Data = []byte("00001000-00001fff : System RAM\n")
	m.Bad = []vmem.PhysAddr{0x1000}
	manifest, err := Run(t.Context(), io.Discard, &Options{Root: m})
	if !errors.Is(err, ErrNothingRead) || manifest == nil || len(manifest.Missing) != 1 {
		t.Errorf("%v, manifest %v", err, manifest)
	}
}

// failingWriter takes n bytes.
type failingWriter struct{ n int }

var errFull = errors.New("full")

func (w *failingWriter) Write(b []byte) (int, error) {
	if n := min(w.n, len(b)); n < len(b) {
		w.n = 0
		return n, errFull
	}
	w.n -= len(b)
	return len(b), nil
}

func TestRunToAFullDisk(t *testing.T) {
	for f := range Format(3) {
		for _, n := range []int{0, 40, 0x10000, 0x20000} {
			manifest, err := Run(t.Context(), &failingWriter{n}, &Options{Root: coretest.NewMachine(), Format: f})
			if !errors.Is(err, errFull) || manifest == nil || manifest.Image.Bytes != int64(n) {
				t.Errorf("%v, room for %d: %v, manifest %v", f, n, err, manifest)
			}
		}
	}
}

func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var done []int64
	manifest, err := Run(ctx, io.Discard, &Options{Root: coretest.NewMachine(), Progress: func(n, total int64) {
		done = append(done, n, total)
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || manifest == nil {
		t.Errorf("%v, manifest %v", err, manifest)
	}
	if len(done) < 2 || done[0] != 0x8000 || done[1] != 0x58000 {
		t.Errorf("progress %v", done)
	}
}

// classes classifies by a table.
type classes map[vmem.PhysAddr]memmap.PageClass

var errUnknown = errors.New("unknown")

func (c classes) ClassifyPages(classes []memmap.PageClass, start vmem.PhysAddr) error {
	if start == 0x200000 {
		return errUnknown
	}
	for i := range classes {
		classes[i] = c[start+vmem.PhysAddr(i*pageSize)]
	}
	return nil
}

func TestRunFiltered(t *testing.T) {
	m := coretest.NewMachine()
	use := classes{0x3000: memmap.PageFree, 0x105000: memmap.PageCleanFile}
	for at := vmem.PhysAddr(0x120000); at < 0x13f000; at += pageSize {
		use[at] = memmap.PageFree
	}
	image, manifest := captureOf(t, m, Options{Pages: use, LeaveOut: []memmap.PageClass{memmap.PageFree}})
	want := m.All()
	delete(want, 0x3000)
	for at := vmem.PhysAddr(0x120000); at < 0x13f000; at += pageSize {
		delete(want, at)
	}
	pages, _ := parseLiME(t, image)
	if d := cmp.Diff(want, pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	left := []ClassSize{{memmap.PageFree, 0x20, 0x20000}}
	kept := []ClassSize{{memmap.PageOther, 0x37, 0x37000}, {memmap.PageCleanFile, 1, 0x1000}}
	if d := cmp.Diff([][]ClassSize{left, kept}, [][]ClassSize{manifest.LeftOut, manifest.Kept}); d != "" {
		t.Errorf("left out, kept (-want +got):\n%s", d)
	}
	if manifest.Late != 0 {
		t.Errorf("%d bytes are said to have come into use", manifest.Late)
	}
	notes := []string{"the use of pages in memory [0x200000, 0x20ffff] is not known: unknown"}
	if d := cmp.Diff(notes, manifest.Notes); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
	for _, o := range []Options{{Root: m, Pages: use, LeaveOut: []memmap.PageClass{memmap.PageOther}}, {Root: m, LeaveOut: []memmap.PageClass{memmap.PageFree}}} {
		if _, err := Run(t.Context(), io.Discard, &o); err == nil {
			t.Errorf("with %v: pages of unknown use were left out", o.LeaveOut)
		}
	}
}

// A turning classifies differently from one call to the next.
type turning struct {
	before, after classes
	calls         map[vmem.PhysAddr]int
}

func (u *turning) ClassifyPages(classes []memmap.PageClass, start vmem.PhysAddr) error {
	u.calls[start]++
	if u.calls[start] == 1 {
		return u.before.ClassifyPages(classes, start)
	}
	return u.after.ClassifyPages(classes, start)
}

// TestRunLate has pages come into use, and others be freed, while their piece is read.
func TestRunLate(t *testing.T) {
	m := coretest.NewMachine()
	use := &turning{before: classes{}, after: classes{0x101000: memmap.PageFree, 0x112000: memmap.PageSlab}, calls: map[vmem.PhysAddr]int{}}
	for at := vmem.PhysAddr(0x110000); at < 0x120000; at += pageSize {
		use.before[at] = memmap.PageFree
		if at != 0x112000 {
			use.after[at] = memmap.PageCleanFile
		}
	}
	image, manifest := captureOf(t, m, Options{Pages: use, LeaveOut: []memmap.PageClass{memmap.PageFree, memmap.PageCleanFile}})
	want := m.All()
	for at := vmem.PhysAddr(0x110000); at < 0x120000; at += pageSize {
		if at != 0x112000 {
			delete(want, at)
		}
	}
	pages, order := parseLiME(t, image)
	if d := cmp.Diff(want, pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	if !slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
	left := []ClassSize{{memmap.PageCleanFile, 15, 0xf000}}
	kept := []ClassSize{{memmap.PageOther, 0x48, 0x48000}, {memmap.PageSlab, 1, 0x1000}}
	if d := cmp.Diff([][]ClassSize{left, kept}, [][]ClassSize{manifest.LeftOut, manifest.Kept}); d != "" {
		t.Errorf("left out, kept (-want +got):\n%s", d)
	}
	if manifest.Late != 0x1000 {
		t.Errorf("%d bytes came late", manifest.Late)
	}
}

func TestRunKernelFirst(t *testing.T) {
	m := coretest.NewMachine()
	use := classes{0x2000: memmap.PageSlab, 0x130000: memmap.PageTable, 0x8000: memmap.PageFree, 0x111000: memmap.PageSlab}
	image, manifest := captureOf(t, m, Options{Order: OrderKernelFirst, Pages: use, LeaveOut: []memmap.PageClass{memmap.PageFree}})
	want := m.All()
	delete(want, 0x8000)
	pages, order := parseLiME(t, image)
	if d := cmp.Diff(want, pages, byPage); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
	first := []vmem.PhysAddr{0x110000, 0x111000, 0x112000, 0x113000, 0x2000, 0x130000, 0x1000, 0x3000}
	if d := cmp.Diff(first, order[:len(first)]); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	var passes []string
	for _, p := range manifest.Pieces {
		passes = append(passes, p.Pass)
	}
	const slab = "slab and page tables"
	if d := cmp.Diff([]string{"kernel image", slab, slab, "rest", "rest", "rest"}, passes); d != "" {
		t.Errorf("passes (-want +got):\n%s", d)
	}
}

func BenchmarkRun(b *testing.B) {
	const size = 64 << 20
	m := coretest.NewMachine()
	ram := bytes.Repeat(m.RAM[0x100000], size/len(m.RAM[0x100000])) // half of it is random
	c := coretest.Core{Data: ram, Segments: []coretest.Segment{coretest.Load(1<<32, coretest.DataAt, size, size)}}
	m.Files["proc/kcore"].Data = c.Bytes()
	m.Files[iomemName].Data = []byte("100000000-103ffffff : System RAM\n")
	b.Run("copy", func(b *testing.B) {
		to := make([]byte, size)
		b.SetBytes(size)
		for b.Loop() {
			copy(to, ram)
		}
	})
	for f := range Format(3) {
		b.Run(f.String(), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(b.Context(), io.Discard, &Options{Root: m.Files, Format: f}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestImagesReadBack(t *testing.T) {
	m := coretest.NewMachine()
	for _, format := range []Format{FormatLiME, FormatLiMELZ4} {
		image, _ := captureOf(t, m, Options{Format: format})
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, image, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := lime.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		want := []rng{{Start: 0x1000, Size: 0x8000}, {Start: 0x100000, Size: 0x40000}, {Start: 0x200000, Size: 0x10000}}
		if d := cmp.Diff(want, f.Ranges()); d != "" || len(f.Gaps()) != 0 {
			t.Errorf("%v: gaps %v, ranges (-want +got):\n%s", format, f.Gaps(), d)
		}
		for at, page := range m.All() {
			got := make([]byte, pageSize)
			if _, err := f.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, page) {
				t.Errorf("%v: page %v: %v", format, at, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

type rng = vmem.Range[vmem.PhysAddr]

// parseRecords reads an image by the tables of LiME's and AVML's formats: pages by their
// address, and the addresses in the order of the file.
func parseRecords(t *testing.T, image []byte, decode func(b []byte, size int) (data []byte, used int)) (map[vmem.PhysAddr][]byte, []vmem.PhysAddr) {
	t.Helper()
	le := binary.LittleEndian
	pages := map[vmem.PhysAddr][]byte{}
	var order []vmem.PhysAddr
	for len(image) > 0 {
		if len(image) < 32 || le.Uint64(image[24:]) != 0 {
			t.Fatalf("no header in % x", image[:min(len(image), 32)])
		}
		first, last := le.Uint64(image[8:]), le.Uint64(image[16:])
		data, used := decode(image, int(last-first+1))
		if uint64(len(data)) != last-first+1 || len(data)%pageSize != 0 || len(data) > recordSize {
			t.Fatalf("record of %#x to %#x has %#x bytes", first, last, len(data))
		}
		for off := 0; off < len(data); off += pageSize {
			at := vmem.PhysAddr(first) + vmem.PhysAddr(off)
			if pages[at] != nil {
				t.Errorf("page %v is in the image twice", at)
			}
			pages[at] = data[off : off+pageSize]
			order = append(order, at)
		}
		image = image[used:]
	}
	return pages, order
}

func parseLiME(t *testing.T, image []byte) (map[vmem.PhysAddr][]byte, []vmem.PhysAddr) {
	t.Helper()
	return parseRecords(t, image, func(b []byte, size int) ([]byte, int) {
		if !bytes.HasPrefix(b, []byte("EMiL\x01\x00\x00\x00")) {
			t.Fatalf("header % x", b[:8])
		}
		return b[32 : 32+size], 32 + size
	})
}
