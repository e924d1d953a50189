package symbols

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/pagetest"
)

// testFile returns what a file in testdata holds, unpacked.
func testFile(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name+".zst"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := z.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuildID(t *testing.T) {
	for name, want := range map[string]string{
		"running.vmlinux": running.buildID, "running.debug": running.buildID,
		"rebuilt.vmlinux": rebuilt.buildID, "older.vmlinux": older.buildID,
	} {
		b := testFile(t, name)
		if got, err := BuildID(bytes.NewReader(b), int64(len(b))); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %s", name, got, err, want)
		}
	}
}

// TestBuildIDByProgramHeader: of a file without section headers it is known, too.
func TestBuildIDByProgramHeader(t *testing.T) {
	b := testFile(t, "running.vmlinux")
	binary.LittleEndian.PutUint64(b[0x28:], 0) // e_shoff
	if got, err := BuildID(bytes.NewReader(b), int64(len(b))); got != running.buildID || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	binary.LittleEndian.PutUint64(b[0x20:], 0) // e_phoff
	if got, err := BuildID(bytes.NewReader(b), int64(len(b))); got != "" || !errors.Is(err, ErrNoBuildID) {
		t.Errorf("%q, %v", got, err)
	}
}

// A meter counts what is read.
type meter struct {
	io.ReaderAt
	calls, bytes int
}

func (m *meter) ReadAt(b []byte, off int64) (int, error) {
	m.calls++
	m.bytes += len(b)
	return m.ReaderAt.ReadAt(b, off)
}

// TestBuildIDReadsLittle: of a file of hundreds of megabytes elsewhere, too.
func TestBuildIDReadsLittle(t *testing.T) {
	b := testFile(t, "running.vmlinux")
	m := &meter{ReaderAt: bytes.NewReader(b)}
	if _, err := BuildID(m, int64(len(b))); err != nil || m.calls > 4 || m.bytes > 2000 {
		t.Errorf("%d bytes in %d calls, %v", m.bytes, m.calls, err)
	}
}

func TestCheckELF(t *testing.T) {
	wrongID := running
	wrongID.buildID = older.buildID // as some stable kernels have it in VMCOREINFO
	noNotes := running.memory()
	noNotes.Forget(0x5000, 0x1000)
	for name, test := range map[string]struct {
		mem  *pagetest.Memory
		file string
		want string // part of the error; empty: it fits
	}{
		"the very kernel":             {running.memory(), "running.vmlinux", ""},
		"its debug information":       {running.memory(), "running.debug", ""},
		"another release":             {running.memory(), "older.vmlinux", "the image runs 6.1.0-9, the file is of 5.10.0-7"},
		"another build":               {running.memory(), "rebuilt.vmlinux", rebuilt.build},
		"a false build id":            {wrongID.memory(), "running.vmlinux", ""},
		"a false build id to compare": {wrongID.memory(), "running.debug", "build id " + older.buildID + ", the file has " + running.buildID},
		"another's debug information": {older.memory(), "running.debug", "build id"},
		"by the banner alone":         {noNotes, "running.vmlinux", ""},
		"another by the banner alone": {noNotes, "rebuilt.vmlinux", rebuilt.build},
		"nothing of both":             {noNotes, "running.debug", "no build id"},
	} {
		t.Run(name, func(t *testing.T) {
			b := testFile(t, test.file)
			err := Identify(test.mem, nil).CheckELF(t.Context(), bytes.NewReader(b), int64(len(b)))
			switch {
			case (err == nil) != (test.want == ""):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("error %q lacks %q", err, test.want)
			}
		})
	}
}

// FuzzBuildID changes ELF files. What comes out is a build id or an error, and what is
// read is in the file.
func FuzzBuildID(f *testing.F) {
	f.Add(testFile(f, "running.vmlinux"))
	f.Add(testFile(f, "running.debug"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := BuildID(bytes.NewReader(b), int64(len(b)))
		if (err == nil) != isBuildID(id) {
			t.Fatalf("%q, %v", id, err)
		}
		e, err := readELF(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		found, err := e.banners(t.Context())
		if err != nil && len(found) > 0 || len(found) > maxFinds {
			t.Fatalf("%q, %v", found, err)
		}
	})
}

// FuzzNotes changes ELF notes.
func FuzzNotes(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00GNU\x0001234567890123456789"), false)
	f.Add([]byte("\x05\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00Linux\x00\x00\x00\x00\x00\x00\x00"), false)
	f.Fuzz(func(t *testing.T, b []byte, big bool) {
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		if id := findBuildID(b, order); id != "" && (!isBuildID(id) || len(id)/2 > len(b)) {
			t.Fatalf("%q", id)
		}
	})
}
