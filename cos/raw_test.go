package cos

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// aWriter writes memory in one of the forms of an image.
type aWriter func(w *os.File, r vmem.Range[vmem.PhysAddr], memory io.Reader) error

// padded writes what LiME's format=padded has.
func padded(w *os.File, r vmem.Range[vmem.PhysAddr], memory io.Reader) error {
	if _, err := w.Seek(int64(r.Start), io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(w, memory)
	return err
}

// concatenated writes what LiME's format=raw has.
func concatenated(w *os.File, _ vmem.Range[vmem.PhysAddr], memory io.Reader) error {
	_, err := io.Copy(w, memory)
	return err
}

// blocksOfZeros writes a LiME image in which some of the memory is overwritten with zeros.
func blocksOfZeros(w *os.File, r vmem.Range[vmem.PhysAddr], memory io.Reader) error {
	b, err := io.ReadAll(memory)
	if err != nil {
		return err
	}
	for _, n := range []int{0, 3, 4} { // blocks of AVML, of 16 MiB each
		if (n+1)<<24 < len(b) {
			clear(b[n<<24 : (n+1)<<24])
		}
	}
	return lime.NewWriter(w).WriteRange(r, bytes.NewReader(b))
}

// write writes the memory of an image in another form, and returns the name of the file.
func (write aWriter) file(t *testing.T, source string) string {
	t.Helper()
	f, err := image.Open(t.Context(), source, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name := filepath.Join(t.TempDir(), "image")
	w, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, r := range f.Ranges() {
		if err := write(w, r, io.NewSectionReader(f.Memory, int64(r.Start), int64(r.Size))); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// checkSame compares the report about an image with the JSON of another of the same
// machine, but for notes, of which one must say what is wanted.
func checkSame(t *testing.T, want string, name, note string) {
	t.Helper()
	checkSameWith(t, ownOrGiven(t), want, name, note)
}

func checkSameWith(t *testing.T, opts *Options, want, name, note string) {
	t.Helper()
	r, err := AnalyzeNode(t.Context(), File(name), opts)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), note) {
		t.Errorf("notes %q lack %q", r.Notes, note)
	}
	if diff := cmp.Diff(want, withoutNotes(t, r)); diff != "" {
		t.Errorf("JSON (-want +got):\n%.2000s", diff)
	}
}

func withoutNotes(t *testing.T, r *NodeReport) string {
	t.Helper()
	same := *r
	same.Notes = nil
	return asJSON(t, &same)
}

// ofImages returns the bundled image and those of LiME that there are.
func ofImages(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{"bundled": bundled(t).Path}
	if os.Getenv("NODELENS_IMAGES") != "" {
		image := testimages.Named(t, "s-6.1")
		names[image.Name] = image.Path
	}
	return names
}

func analyze(t *testing.T, name string) *NodeReport {
	t.Helper()
	r, err := AnalyzeNode(t.Context(), File(name), ownOrGiven(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ownOrGiven takes the symbols from each image where there is time for it, and else gives those of
// the bundled one.
func ownOrGiven(t *testing.T) *Options {
	t.Helper()
	if testimages.Thorough() {
		return nil
	}
	return &Options{Symbols: symbolsOf(t, bundled(t))}
}

// Whatever the form of an image, the report is the same.
func TestRawImages(t *testing.T) {
	testimages.Long(t)
	if testing.Short() {
		t.Skip("whole images take long")
	}
	for name, image := range ofImages(t) {
		t.Run(name, func(t *testing.T) {
			want := withoutNotes(t, analyze(t, image))
			file := aWriter(padded).file(t, image)
			checkSame(t, want, file, "it is read as memory from address 0")
			checkSameMemory(t, image, file)
			file = aWriter(concatenated).file(t, image)
			checkSame(t, want, file, "it is read as memory in ranges of RAM")
			checkSameMemory(t, image, file)
		})
	}
}

// checkSameMemory compares the memory of two images, and which they have.
func checkSameMemory(t *testing.T, image, other string) {
	t.Helper()
	want, got := openImage(t, image).Memory, openImage(t, other).Memory
	if diff := cmp.Diff(want.Ranges(), got.Ranges()); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
	compareMemory(t, want, got, want.Ranges())
}

// A raw image that is cut off has what precedes the cut, and says so.
func TestRawImageCut(t *testing.T) {
	testimages.Long(t)
	if testing.Short() {
		t.Skip("whole images take long")
	}
	for name, write := range map[string]aWriter{"padded": padded, "ranges": concatenated} {
		t.Run(name, func(t *testing.T) {
			file := write.file(t, bundled(t).Path)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, info.Size()-1<<20); err != nil {
				t.Fatal(err)
			}
			r := analyze(t, file)
			if len(r.Processes) < 100 || r.Whole() || r.Gaps[0].Object != "image" || !strings.Contains(strings.Join(r.Notes, "\n"), "cut off") {
				t.Errorf("%d processes, notes %q, gaps %v", len(r.Processes), r.Notes, r.Gaps)
			}
		})
	}
}

// AVML leaves blocks of zeros out; in the report nothing is missing.
func TestElidedZeros(t *testing.T) {
	avml, err := exec.LookPath("avml")
	if err != nil {
		t.Skip("no avml command here:", err)
	}
	for name, image := range ofImages(t) {
		t.Run(name, func(t *testing.T) {
			zeroed := aWriter(blocksOfZeros).file(t, image)
			want := withoutNotes(t, analyze(t, zeroed))
			small, raw := zeroed+".avml", zeroed+".raw"
			convert(t, avml, "--source-format", "lime", "--format", "lime_compressed", zeroed, small)
			checkSame(t, want, small, "50331648 bytes of RAM in 2 places")
			convert(t, avml, "--source-format", "lime_compressed", "--format", "raw", small, raw)
			checkSame(t, want, raw, "it is read as memory from address 0")
		})
	}
}

func convert(t *testing.T, avml string, args ...string) {
	t.Helper()
	if out, err := exec.Command(avml, append([]string{"convert"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("avml convert: %v: %s", err, out)
	}
}

// BenchmarkOpenRaw finds the memory of a padded image by the kernel in it.
func BenchmarkOpenRaw(b *testing.B) {
	f, err := image.Open(b.Context(), bundled(b).Path, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	name := filepath.Join(b.TempDir(), "image")
	w, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	for _, r := range f.Ranges() {
		if err := padded(w, r, io.NewSectionReader(f.Memory, int64(r.Start), int64(r.Size))); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(r.Last()) + 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		raw, err := image.Open(b.Context(), name, nil)
		if err != nil {
			b.Fatal(err)
		}
		raw.Close()
	}
}
