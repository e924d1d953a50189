package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// ramStart and ramSize are the RAM of the machine that the tests capture.
const (
	ramStart = 0x100000
	ramSize  = 0x30000
)

// newRoot returns the root directory of a machine: /proc/kcore with one PT_LOAD segment,
// by the tables of elf(5), and /proc/iomem.
func newRoot(t *testing.T) (root string, ram []byte) {
	t.Helper()
	root = t.TempDir()
	ram = make([]byte, ramSize)
	for i := range ram {
		ram[i] = byte(i * i >> 8)
	}
	le := binary.LittleEndian
	b := make([]byte, 0x1000)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 4)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint32(b[64:], 1)
	for i, v := range []uint64{0x1000, 0xffff888000100000, ramStart, ramSize, ramSize} {
		le.PutUint64(b[64+8+8*i:], v)
	}
	write(t, root, "proc/kcore", append(b, ram...))
	write(t, root, "proc/iomem", []byte("00000000-00000fff : Reserved\n00100000-0012ffff : System RAM\n"))
	return root, ram
}

func write(t *testing.T, root, name string, b []byte) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs it, and checks its exit status.
func runCapture(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, msg bytes.Buffer
	if got := run(t.Context(), args, &out, &msg); got != status {
		t.Fatalf("capture %v: status %d, want %d\n%s", args, got, status, &msg)
	}
	return out.String(), msg.String()
}

// checkImage reads a LiME image, and its manifest if there is one.
func checkImage(t *testing.T, image, ram []byte, manifest string) {
	t.Helper()
	f, err := lime.NewFile(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, ramSize)
	if _, err := f.ReadAt(got, ramStart); err != nil || !bytes.Equal(got, ram) {
		t.Errorf("the image does not hold the memory: %v", err)
	}
	if d := cmp.Diff([]vmem.Range[vmem.PhysAddr]{{Start: ramStart, Size: ramSize}}, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	var m capture.Manifest
	if err := json.Unmarshal([]byte(manifest), &m); err != nil {
		t.Fatalf("manifest %q: %v", manifest, err)
	}
	sum := sha256.Sum256(image)
	want := capture.Image{Format: capture.FormatLiME, Bytes: int64(len(image)), SHA256: hex.EncodeToString(sum[:]), Memory: ramSize}
	if d := cmp.Diff(want, m.Image); d != "" || m.Node.Name != "n1" {
		t.Errorf("node %q, manifest (-want +got):\n%s", m.Node.Name, d)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestToFile(t *testing.T) {
	root, ram := newRoot(t)
	out := filepath.Join(t.TempDir(), "image.lime")
	runCapture(t, exitWhole, "-root", root, "-node", "n1", "-o", out)
	checkImage(t, []byte(read(t, out)), ram, read(t, out+".json"))
	before := read(t, out)
	_, msg := runCapture(t, exitFailed, "-root", root, "-o", out)
	if !strings.Contains(msg, "exists") || read(t, out) != before {
		t.Errorf("a file that exists: %s", msg)
	}
}

func TestToStandardOutput(t *testing.T) {
	root, ram := newRoot(t)
	manifest := filepath.Join(t.TempDir(), "manifest")
	out, _ := runCapture(t, exitWhole, "-root", root, "-node", "n1", "-o", "-", "-manifest", manifest)
	checkImage(t, []byte(out), ram, read(t, manifest))
	_, msg := runCapture(t, exitWhole, "-root", root, "-node", "n1", "-o", "-")
	checkImage(t, []byte(out), ram, msg[strings.Index(msg, "{"):strings.LastIndex(msg, "}")+1])
}

func TestHostileName(t *testing.T) {
	root, _ := newRoot(t)
	_, msg := runCapture(t, exitWhole, "-root", root, "-node", "n\x7f\u009b2J\u202e", "-o", "-")
	if !strings.Contains(msg, `"n\u007f\u009b2J\u202e"`) {
		t.Errorf("message %q", msg)
	}
}

func TestNotWhole(t *testing.T) {
	root, _ := newRoot(t)
	write(t, root, "proc/iomem", []byte("00100000-00131fff : System RAM\n"))
	_, msg := runCapture(t, exitNotWhole, "-root", root, "-o", "-", "-manifest", filepath.Join(t.TempDir(), "m"))
	if !strings.Contains(msg, "lacks 8 KiB in 1 places") {
		t.Errorf("message %s", msg)
	}
}

func TestRefused(t *testing.T) {
	root, _ := newRoot(t)
	write(t, root, "proc/iomem", []byte("00000000-00000000 : System RAM\n"))
	_, msg := runCapture(t, exitRefused, "-root", root, "-o", "-")
	if !strings.Contains(msg, "CAP_SYS_ADMIN") {
		t.Errorf("message %s", msg)
	}
	write(t, root, "proc/kcore", nil)
	_, msg = runCapture(t, exitRefused, "-root", root, "-o", "-")
	if !strings.Contains(msg, "masked") {
		t.Errorf("message %s", msg)
	}
}

// TestRefusedLeavesNoFile checks that a second try, after the cause is mended, finds no file
// of the first.
func TestRefusedLeavesNoFile(t *testing.T) {
	root, ram := newRoot(t)
	kcore := read(t, filepath.Join(root, "proc", "kcore"))
	write(t, root, "proc/kcore", nil)
	out := filepath.Join(t.TempDir(), "image.lime")
	runCapture(t, exitRefused, "-root", root, "-o", out)
	if left, err := filepath.Glob(out + "*"); err != nil || left != nil {
		t.Errorf("left: %q, %v", left, err)
	}
	write(t, root, "proc/kcore", []byte(kcore))
	runCapture(t, exitWhole, "-o", out, "-root", root, "-node", "n1")
	checkImage(t, []byte(read(t, out)), ram, read(t, out+".json"))
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-o", "-", "-url", "http://127.0.0.1"}, {"-o", "-", "more"}, {"-o", "-", "-format", "raw"}, {"-o", "-", "-resumable"},
		{"-o", "-", "-leave-out", "slab"}, {"-o", "-", "-order", "random"},
	} {
		runCapture(t, exitUsage, args...)
	}
	_, msg := runCapture(t, exitUsage, "node.lime")
	if !strings.Contains(msg, "node.lime") || !strings.Contains(msg, "usage: capture") {
		t.Errorf("an argument: %s", msg)
	}
	help, msg := runCapture(t, exitWhole, "-h")
	for _, part := range []string{"usage: capture [flags] -o FILE | -url URL", "-resumable", "-leave-out free,clean-files", "4  the machine withholds"} {
		if !strings.Contains(help, part) || msg != "" {
			t.Errorf("help lacks %q: %s%s", part, help, msg)
		}
	}
}
