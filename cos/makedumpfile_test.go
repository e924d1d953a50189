package cos

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// Pages of zeros that makedumpfile leaves out of a core are missing nowhere in the report.
func TestMakedumpfile(t *testing.T) {
	makedumpfile, err := exec.LookPath("makedumpfile")
	if err != nil {
		t.Skip("no makedumpfile command here:", err)
	}
	image := testimages.Named(t, "s-6.12-la57").Path
	core, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	// It looks for program headers right behind the ELF header; QEMU has sections there.
	le := binary.LittleEndian
	off, size := le.Uint64(core[32:]), 56*uint64(le.Uint16(core[56:]))
	copy(core[64:], core[off:off+size])
	le.PutUint64(core[32:], 64)
	le.PutUint64(core[40:], 0)
	le.PutUint32(core[60:], 0)
	dir := t.TempDir()
	whole, small := filepath.Join(dir, "whole"), filepath.Join(dir, "small")
	if err := os.WriteFile(whole, core, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(makedumpfile, "-E", "-d", "1", whole, small).CombinedOutput(); err != nil {
		t.Fatalf("makedumpfile: %v: %s", err, out)
	}
	checkSame(t, withoutNotes(t, analyze(t, image)), small, "the image leaves out")
}
