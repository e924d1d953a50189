package cos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A packing makes a file in another format of an image, by a tool that is not ours.
type packing struct {
	name    string
	format  string // what Open calls the result
	command string // of the shell, from $in to $out; skipped where its first word is not to be found
	slow    bool   // left to where there is time for all: it takes long, or is much like another
}

// packingsOfLiME are the formats that a LiME image can be made to.
var packingsOfLiME = []packing{
	{name: "lz4", format: "LiME, LZ4", command: `lz4 -q -1 -c "$in" > "$out"`, slow: true},
	{name: "lz4 linked", format: "LiME, LZ4", command: `lz4 -q -1 -BD -c "$in" > "$out"`, slow: true},
	{name: "gzip", format: "LiME, gzip", command: `gzip -1 -c "$in" > "$out"`, slow: true},
	{name: "pigz", format: "LiME, gzip", command: `pigz -1 -i -c "$in" > "$out"`, slow: true},
	{name: "zlib", format: "LiME, zlib", command: pythonZlib, slow: true},
	{name: "zstd", format: "LiME, zstd", command: `zstd -q -1 -c "$in" > "$out"`},
	{name: "zstd long", format: "LiME, zstd", command: `zstd -q -1 --long=24 -T2 -c "$in" > "$out"`, slow: true},
	{name: "pzstd", format: "LiME, zstd", command: `pzstd -q -1 -c "$in" > "$out"`, slow: true},
	{name: "xz", format: "LiME, xz", command: `xz -0 -T1 -c "$in" > "$out"`, slow: true},
	{name: "xz blocks", format: "LiME, xz", command: `xz -0 -T2 --block-size=16MiB -c "$in" > "$out"`, slow: true},
	{name: "avml", format: "AVML", command: `avml convert --source-format lime --format lime_compressed "$in" "$out"`},
	{name: "avml in zstd", format: "AVML, zstd", command: `avml convert --source-format lime --format lime_compressed "$in" "$out.avml" && zstd -q -1 "$out.avml" -o "$out" && rm "$out.avml"`},
	// This version writes headers of AVML before plain memory.
	{name: "avml 0.17", format: "AVML", command: `avml-convert-0.17 --source-format lime --format lime_compressed "$in" "$out.avml" && avml-convert-0.17 --format lime "$out.avml" "$out" && rm "$out.avml"`},
	{name: "padded", format: "raw memory", command: `avml convert --source-format lime --format raw "$in" "$out"`},
	{name: "padded in gzip", format: "raw memory, gzip", command: `avml convert --source-format lime --format raw "$in" "$out.raw" && gzip -1 -c "$out.raw" > "$out" && rm "$out.raw"`},
}

// pythonZlib compresses as LiME's compress=1 does: windows of 2 KiB, memory level 5.
const pythonZlib = `python3 -c 'import sys, zlib
z = zlib.compressobj(level=-1, wbits=11, memLevel=5)
with open(sys.argv[1], "rb") as r, open(sys.argv[2], "wb") as w:
    while b := r.read(1 << 20):
        w.write(z.compress(b))
    w.write(z.flush())' "$in" "$out"`

// dumps are the formats that makedumpfile can make of an ELF core, by its options. Page
// compressions that it is built without it leaves away.
var dumps = []struct {
	options, format string
	slow            bool // left to where there is time for all
}{
	{"-E -d 0", "ELF core", true},
	{"-c -d 0", "kdump, zlib", true},
	{"-l -d 0", "kdump, lzo", true},
	{"-p -d 0", "kdump", true},
	{"-z -d 0", "kdump", true},
	{"-c -d 1", "kdump, zlib", false},
	{"-F -c -d 0", "kdump, zlib, flattened", true},
	{"-F -l -d 0", "kdump, lzo, flattened", true},
}

// TestOneMemory opens the memory of one image in every format that the tools on this
// machine can make of it: it must be the same memory, and give the same report.
func TestOneMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("whole images take long")
	}
	t.Parallel()
	t.Run("LiME", func(t *testing.T) {
		t.Parallel()
		testPackings(t, originalOf(t, bundled(t)), packingsOfLiME)
	})
	t.Run("ELF", func(t *testing.T) {
		t.Parallel()
		for _, img := range testimages.All(t) {
			if filepath.Ext(img.Path) != ".elf" {
				continue
			}
			plain := originalOf(t, img)
			plain.ranges = ramOf(t, img)
			for _, d := range dumps {
				t.Run(d.options, func(t *testing.T) {
					t.Parallel()
					if d.slow && !testimages.Thorough() {
						t.Skip("this runs where NODELENS_IMAGES is set")
					}
					dump := testimages.Makedumpfile(t, img, strings.Fields(d.options)...)
					compareImages(t, plain, dump, d.format)
				})
			}
			return
		}
		t.Skip("there is no ELF core among the images")
	})
}

// TestOneMemoryDumped compares the formats in which QEMU dumped the memory of one guest
// at one moment: files beside the image NAME.elf that are called NAME.kdump-zlib and so on.
func TestOneMemoryDumped(t *testing.T) {
	if testing.Short() {
		t.Skip("whole images take long")
	}
	found := false
	for _, img := range testimages.All(t) {
		others, err := filepath.Glob(strings.TrimSuffix(img.Path, filepath.Ext(img.Path)) + ".kdump-*")
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			found = true
			t.Run(filepath.Base(other), func(t *testing.T) { compareImages(t, originalOf(t, img), other, "kdump") })
		}
	}
	if !found {
		t.Skip("there are no dumps of QEMU in two formats")
	}
}

// run runs the command of a packing, and skips the test where the tool is not there.
func run(t testing.TB, p packing, in, out string) {
	t.Helper()
	tool, _, _ := strings.Cut(p.command, " ")
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not on this machine", tool)
	}
	c := exec.CommandContext(t.Context(), "sh", "-c", p.command)
	c.Env = append(os.Environ(), "in="+in, "out="+out)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", p.command, err, stderr.Bytes())
	}
}

func testPackings(t *testing.T, plain original, packings []packing) {
	for _, p := range packings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if p.slow && !testimages.Thorough() {
				t.Skip("decoding takes long: this runs where NODELENS_IMAGES is set")
			}
			packed := filepath.Join(t.TempDir(), "packed")
			run(t, p, plain.path, packed)
			compareImages(t, plain, packed, p.format)
		})
	}
}

// ramOf returns the RAM of a node by its own /proc/iomem: makedumpfile leaves out what has
// no struct page, such as the memory of the graphics card.
func ramOf(t *testing.T, img testimages.Image) []vmem.Range[vmem.PhysAddr] {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(img.Truth, "proc", "iomem"))
	if err != nil {
		t.Fatal(err)
	}
	resources, err := memmap.ParseIOMem(text)
	if err != nil {
		t.Fatal(err)
	}
	return memmap.SystemRAM(resources)
}

// An original is an image to compare others with.
type original struct {
	path   string
	report string
	opts   *Options                    // of the report
	ranges []vmem.Range[vmem.PhysAddr] // to compare; nil for all
}

// originalOf analyses an image with its symbols, where there are any: to make them of each image
// that has the same memory takes long.
func originalOf(t *testing.T, img testimages.Image) original {
	t.Helper()
	opts := new(Options)
	if img.ISF != "" && !testimages.Thorough() {
		opts.Symbols = symbolsOf(t, img)
	}
	r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
	if err != nil {
		t.Fatal(err)
	}
	return original{path: img.Path, report: withoutNotes(t, r), opts: opts}
}

// compareImages compares the memory in two files, and the reports about it.
func compareImages(t *testing.T, plain original, packed, format string) {
	t.Helper()
	want := openImage(t, plain.path)
	got := openImage(t, packed)
	if !strings.HasPrefix(got.Info.String(), format) {
		t.Errorf("taken for %q, want %q", got.Info.String(), format)
	}
	ranges := plain.ranges
	if ranges == nil {
		ranges = want.Ranges()
	}
	compareMemory(t, want.Memory, got.Memory, ranges)
	comparePlaces(t, want.Memory, got.Memory, ranges)
	r, err := AnalyzeNode(t.Context(), Memory(got), plain.opts) // what is decoded by now is not decoded again
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain.report, withoutNotes(t, r)); diff != "" {
		t.Errorf("report (-plain +packed):\n%s", diff)
	}
}

func openImage(t testing.TB, name string) *image.File {
	t.Helper()
	f, err := image.Open(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// compareMemory compares all of the ranges. What got has not must be zeros, which is what
// some formats leave out.
func compareMemory(t *testing.T, want, got vmem.Memory, ranges []vmem.Range[vmem.PhysAddr]) {
	t.Helper()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	parts := 0
	for _, r := range ranges {
		for off := uint64(0); off < r.Size; off += uint64(len(a)) {
			if parts++; parts%4 > 0 && !testimages.Thorough() && r.Size-off > uint64(len(a)) {
				continue // the end of each range is compared, and a part of the rest
			}
			n := min(uint64(len(a)), r.Size-off)
			at := int64(r.Start) + int64(off)
			if err := same(want, got, a[:n], b[:n], at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// comparePlaces compares pieces of random places and sizes.
func comparePlaces(t *testing.T, want, got vmem.Memory, ranges []vmem.Range[vmem.PhysAddr]) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		r := ranges[rng.IntN(len(ranges))]
		off := rng.Uint64N(r.Size)
		n := min(1+rng.Uint64N(3*vmem.PageSize), r.Size-off)
		if err := same(want, got, make([]byte, n), make([]byte, n), int64(r.Start)+int64(off)); err != nil {
			t.Fatal(err)
		}
	}
}

// same reads the same memory of both, into a and b, and compares it.
func same(want, got vmem.Memory, a, b []byte, at int64) error {
	if _, err := want.ReadAt(a, at); err != nil {
		return fmt.Errorf("plain image: %w", err)
	}
	for done := 0; done < len(b); {
		n, err := got.ReadAt(b[done:], at+int64(done))
		done += n
		if errors.Is(err, vmem.ErrNotCaptured) && a[done] == 0 { // what is left out is zeros
			b[done], err = 0, nil
			done++
		}
		if err != nil && (done < len(b) || !errors.Is(err, io.EOF)) {
			return fmt.Errorf("packed image at %#x: %w", at+int64(done), err)
		}
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("packed image differs within %d bytes at %#x", len(a), at)
	}
	return nil
}
