package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/internal/zstddec"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// unpackZstd unpacks a file as anybody does who knows nothing of its table.
func unpackZstd(t *testing.T, packed []byte) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image.elf.zst")
	if err := os.WriteFile(name, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zstd", "-d", "-c", "-q", name).Output()
	if err != nil {
		t.Fatalf("zstd -d: %v", err)
	}
	return out
}

// parseELF reads a core by the tables of elf(5): pages by their address, and the first note.
func parseELF(t *testing.T, core []byte) (pages map[vmem.PhysAddr][]byte, note []byte) {
	t.Helper()
	le := binary.LittleEndian
	if string(core[:6]) != "\x7fELF\x02\x01" || le.Uint16(core[56:]) != 0xffff {
		t.Fatalf("the core begins with % x", core[:64])
	}
	count, headers := le.Uint32(core[le.Uint64(core[40:])+44:]), core[le.Uint64(core[32:]):]
	if len(headers) != 56*int(count) {
		t.Fatalf("%d bytes for %d program headers", len(headers), count)
	}
	pages = map[vmem.PhysAddr][]byte{}
	for ; len(headers) > 0; headers = headers[56:] {
		off, virt, phys, size := le.Uint64(headers[8:]), le.Uint64(headers[16:]), le.Uint64(headers[24:]), le.Uint64(headers[32:])
		content := core[off : off+size]
		switch le.Uint32(headers) {
		case 0:
			if len(bytes.Trim(content, "\x00")) > 0 {
				t.Errorf("what has no address is not zeros")
			}
		case 4:
			if note == nil && off == 64 {
				note = content
			}
		case 1:
			if virt != 0xffff888000000000+phys || le.Uint64(headers[40:]) != size {
				t.Errorf("memory %#x is at %#x", phys, virt)
			}
			for i := uint64(0); i < size; i += pageSize {
				pages[vmem.PhysAddr(phys+i)] = content[i : i+pageSize]
			}
		}
	}
	return pages, note
}

// An image is read by zstd -d and the tables of elf(5), and by this library through its seek table: all of memory, and no page that could not be read.
func TestRunELF(t *testing.T) {
	if _, err := exec.LookPath("zstd"); err != nil {
		t.Skip("no zstd command")
	}
	for name, test := range map[string]struct {
		bad  []vmem.PhysAddr
		opts Options
	}{
		"whole":        {},
		"kernel first": {opts: Options{Order: OrderKernelFirst}},
		"pages failed": {bad: []vmem.PhysAddr{0x1000, 0x5123, 0x6000, 0x13ffff}},
		"left out":     {opts: Options{Pages: everySecond{}, LeaveOut: []memmap.PageClass{memmap.PageFree}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := coretest.NewMachine()
			m.Bad, test.opts.Format = test.bad, FormatELFZstd
			packed, manifest := captureOf(t, m, test.opts)
			want := m.All()
			for _, bad := range test.bad {
				delete(want, bad&^(pageSize-1))
			}
			if test.opts.Pages != nil {
				for at := range want {
					if at/pageSize%2 == 1 {
						delete(want, at)
					}
				}
			}
			core := unpackZstd(t, packed)
			pages, note := parseELF(t, core)
			if d := cmp.Diff(want, pages, byPage); d != "" {
				t.Errorf("pages (-want +got):\n%s", d)
			}
			if wantNote := coretest.Note("VMCOREINFO", 0, []byte("OSRELEASE=6.1.0\n")); !bytes.Equal(note, wantNote) {
				t.Errorf("behind the header is the note %q", note)
			}
			if manifest.Image.Memory != uint64(len(want))*pageSize {
				t.Errorf("%#x bytes of memory, want %d pages", manifest.Image.Memory, len(want))
			}
			checkInside(t, packed, manifest)
			checkRead(t, packed, want)
		})
	}
}

// everySecond says that every second page is free.
type everySecond struct{}

func (everySecond) ClassifyPages(classes []memmap.PageClass, start vmem.PhysAddr) error {
	for i := range classes {
		if (uint64(start)/pageSize+uint64(i))%2 == 1 {
			classes[i] = memmap.PageFree
		}
	}
	return nil
}

// checkInside checks the manifest in the image.
func checkInside(t *testing.T, packed []byte, manifest *Manifest) {
	t.Helper()
	at := bytes.Index(packed, []byte("\x5e\x2a\x4d\x18"))
	var inside Manifest
	if err := json.NewDecoder(bytes.NewReader(packed[at+8:])).Decode(&inside); err != nil || inside.Image.Bytes != int64(at) || inside.Image.Memory != manifest.Image.Memory {
		t.Errorf("inside is %+v, %v", inside.Image, err)
	}
}

// checkRead reads an image with this library.
func checkRead(t *testing.T, packed []byte, want map[vmem.PhysAddr][]byte) {
	t.Helper()
	f, err := image.NewFile(t.Context(), bytes.NewReader(packed), int64(len(packed)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := zstddec.Format.NewDecoder(bytes.NewReader(packed), int64(len(packed)), nil); err != nil {
		t.Error(err)
	} else if _, _, ok := d.(checkpoint.Indexed).Index(); !ok {
		t.Error("the seek table is not taken")
	}
	core := f.Unwrap().(*kcore.File)
	if len(core.Gaps()) != 0 {
		t.Errorf("gaps: %v", core.Gaps())
	}
	for _, r := range f.Ranges() {
		for at := r.Start; at <= r.Last(); at += pageSize {
			got := make([]byte, pageSize)
			if _, err := f.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at]) {
				t.Errorf("page %v: %v", at, err)
			}
			delete(want, at)
		}
	}
	if len(want) != 0 {
		t.Errorf("%d pages are not there", len(want))
	}
}
