package source

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A block device has the size of what it is of. The test needs a loop device.
func TestBlockDevice(t *testing.T) {
	t.Parallel()
	content := noise(1 << 20)
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", "--read-only", put(t, content)).Output()
	if err != nil {
		t.Skip("no loop device:", err)
	}
	device := strings.TrimSpace(string(out))
	defer func() {
		if err := exec.Command("losetup", "--detach", device).Run(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := os.Stat(device); err != nil {
		t.Skip(err)
	}
	s, err := Open(t.Context(), device, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := make([]byte, len(content))
	if n, err := s.ReadAt(got, 0); s.Size() != int64(len(content)) || err != nil || !bytes.Equal(got, content) {
		t.Errorf("size %d; %d bytes, %v", s.Size(), n, err)
	}
}
