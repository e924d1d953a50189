package symbols

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/internal/symboltest"
)

func TestBuildID(t *testing.T) {
	for name, want := range map[string]string{
		"running.vmlinux": symboltest.Running.BuildID, "running.debug": symboltest.Running.BuildID,
		"rebuilt.vmlinux": symboltest.Rebuilt.BuildID, "older.vmlinux": symboltest.Older.BuildID,
	} {
		b := symboltest.File(name)
		if got, err := BuildID(bytes.NewReader(b), int64(len(b))); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %s", name, got, err, want)
		}
	}
}

// TestBuildIDByProgramHeader: of a file without section headers it is known, too.
func TestBuildIDByProgramHeader(t *testing.T) {
	b := symboltest.File("running.vmlinux")
	binary.LittleEndian.PutUint64(b[0x28:], 0) // e_shoff
	if got, err := BuildID(bytes.NewReader(b), int64(len(b))); got != symboltest.Running.BuildID || err != nil {
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
	b := symboltest.File("running.vmlinux")
	m := &meter{ReaderAt: bytes.NewReader(b)}
	if _, err := BuildID(m, int64(len(b))); err != nil || m.calls > 4 || m.bytes > 2000 {
		t.Errorf("%d bytes in %d calls, %v", m.bytes, m.calls, err)
	}
}

func TestCheckELF(t *testing.T) {
	wrongID := symboltest.Running
	wrongID.BuildID = symboltest.Older.BuildID // as some stable kernels have it in VMCOREINFO
	noNotes := symboltest.Running.Memory()
	noNotes.Forget(symboltest.Notes, 0x1000)
	for name, test := range map[string]struct {
		mem  *pagetest.Memory
		file string
		want string // part of the error; empty: it fits
	}{
		"the very kernel":             {symboltest.Running.Memory(), "running.vmlinux", ""},
		"its debug information":       {symboltest.Running.Memory(), "running.debug", ""},
		"another release":             {symboltest.Running.Memory(), "older.vmlinux", "the image runs 6.1.0-9, the file is of 5.10.0-7"},
		"another build":               {symboltest.Running.Memory(), "rebuilt.vmlinux", symboltest.Rebuilt.Build},
		"a false build id":            {wrongID.Memory(), "running.vmlinux", ""},
		"a false build id to compare": {wrongID.Memory(), "running.debug", "build id " + symboltest.Older.BuildID + ", the file has " + symboltest.Running.BuildID},
		"another's debug information": {symboltest.Older.Memory(), "running.debug", "build id"},
		"by the banner alone":         {noNotes, "running.vmlinux", ""},
		"another by the banner alone": {noNotes, "rebuilt.vmlinux", symboltest.Rebuilt.Build},
		"nothing of both":             {noNotes, "running.debug", "no build id"},
	} {
		t.Run(name, func(t *testing.T) {
			b := symboltest.File(test.file)
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
	f.Add(symboltest.File("running.vmlinux"))
	f.Add(symboltest.File("running.debug"))
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
