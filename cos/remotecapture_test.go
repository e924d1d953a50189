package cos

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// A replayed machine has the memory of an image, and extra bytes of more above 4 GiB, as a running one has it in /proc.
type replayed struct {
	fstest.MapFS
	head    []byte // of /proc/kcore
	filling []byte // of memory above 4 GiB, over and over
	mem     vmem.Memory
}

const extraAt = 4 << 30

// replay returns a machine with the memory of an image.
func replay(t testing.TB, mem vmem.Memory, extra uint64) *replayed {
	t.Helper()
	var note []byte
	for found, err := range vmcoreinfo.Find(t.Context(), mem) {
		if err != nil {
			t.Fatal(err)
		}
		note = coretest.Note("VMCOREINFO", 0, []byte(found.Info.Text()))
		break
	}
	core := coretest.Core{Segments: []coretest.Segment{{Type: 4, Offset: 0x180, FileSz: uint64(len(note))}}}
	var iomem strings.Builder
	for _, r := range append(mem.Ranges(), vmem.Range[vmem.PhysAddr]{Start: extraAt, Size: extra}) {
		if r.Size == 0 {
			continue
		}
		load := coretest.Load(uint64(r.Start), coretest.DataAt+uint64(r.Start), r.Size, r.Size)
		load.Virt = 0xffff888000000000 + vmem.VirtAddr(r.Start)
		core.Segments = append(core.Segments, load)
		fmt.Fprintf(&iomem, "%08x-%08x : System RAM\n", uint64(r.Start), uint64(r.Last()))
	}
	head := core.Bytes()
	copy(head[0x180:], note)
	files := fstest.MapFS{"proc/kcore": {}, "proc/iomem": {Data: []byte(iomem.String())}}
	filling := append(packtest.Memory(1<<20), make([]byte, 7<<20)...)
	return &replayed{MapFS: files, head: head, filling: filling, mem: mem}
}

// Open implements [fs.FS].
func (m *replayed) Open(name string) (fs.File, error) {
	f, err := m.MapFS.Open(name)
	if err != nil || name != "proc/kcore" {
		return f, err
	}
	return &replayedCore{f, m}, nil
}

type replayedCore struct {
	fs.File
	m *replayed
}

func (f *replayedCore) ReadAt(b []byte, off int64) (int, error) {
	if off < coretest.DataAt {
		n := copy(b, f.m.head[off:])
		if n < len(b) {
			return n, io.EOF
		}
		return n, nil
	}
	if off -= coretest.DataAt; off >= extraAt {
		for n := 0; n < len(b); n += copy(b[n:], f.m.filling[(off+int64(n))%int64(len(f.m.filling)):]) {
		}
		return len(b), nil
	}
	return f.m.mem.ReadAt(b, off)
}

// captured captures a replayed machine to a file, and returns its name and how much memory that has.
func captured(t testing.TB, name string, extra uint64, format capture.Format) (file string, memory uint64) {
	t.Helper()
	mem, err := image.Open(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	file = filepath.Join(t.TempDir(), "node."+format.String())
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := capture.Run(t.Context(), f, &capture.Options{Root: replay(t, mem, extra), Format: format})
	if err != nil || !manifest.Whole() {
		t.Fatalf("captured: %v, %v, %v", err, manifest.Missing, manifest.Notes)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file, manifest.Image.Memory
}

// A node of 4 GiB in the form that capture has for object storage, behind a server that answers after 20 ms: the same report, of 2 % of
// its memory, with the image's own symbols and with a file of them. Where the machine is busy with other things the time says nothing, and is only told.
func TestRemoteCapture(t *testing.T) {
	testimages.Long(t)
	img := bundled(t)
	whole, err := AnalyzeNode(t.Context(), File(img.Path), &Options{TaskScan: linux.ScanNever})
	if err != nil {
		t.Fatal(err)
	}
	small, smallMemory := captured(t, img.Path, 0, capture.FormatELFZstd)
	large, largeMemory := captured(t, img.Path, 4<<30-192<<20, capture.FormatELFZstd)
	for _, test := range []struct {
		name, file string
		memory     uint64
		isf        string
		most       float64 // part of memory
	}{
		{"bundled", small, smallMemory, "", 0.11},
		{"4 GiB", large, largeMemory, "", 0.01},
		{"4 GiB, symbols", large, largeMemory, img.ISF, 0.01},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := &http.Client{Transport: slow{http.DefaultTransport, 20 * time.Millisecond}}
			start := time.Now()
			f, err := image.OpenURL(t.Context(), serveImage(t, test.file), &image.Options{Remote: &image.Remote{Client: client}})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := AnalyzeNode(t.Context(), Memory(f), &Options{SymbolFile: test.isf})
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			if diff := cmp.Diff(asJSON(t, whole), asJSON(t, r)); diff != "" && test.file == small {
				t.Errorf("report (-file +server):\n%.2000s", diff)
			}
			if len(r.Processes) != len(whole.Processes) {
				t.Errorf("%d processes, want %d", len(r.Processes), len(whole.Processes))
			}
			requests, bytes := f.Traffic()
			part := float64(bytes) / float64(test.memory)
			t.Logf("%s of %d MiB for %d MiB of memory: %d requests, %.1f MiB, %.2f %%, %.1f s", f.Info, f.Info.Size>>20, test.memory>>20, requests, float64(bytes)/(1<<20), 100*part, took.Seconds())
			if part > test.most || requests > 100 {
				t.Errorf("%d requests, %.2f %% of memory", requests, 100*part)
			}
		})
	}
}
