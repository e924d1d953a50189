package testimages

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Makedumpfile returns the path of what makedumpfile makes of an image that is an ELF
// core, in a directory that goes with t. It skips t where there is no makedumpfile.
func Makedumpfile(t testing.TB, image Image, args ...string) string {
	t.Helper()
	command, err := exec.LookPath("makedumpfile")
	if err != nil {
		t.Skip("no makedumpfile command here:", err)
	}
	dir := t.TempDir()
	core, dump := filepath.Join(dir, "core"), filepath.Join(dir, "dump")
	require(t, relayout(image.Path, core))
	var messages bytes.Buffer
	cmd := exec.Command(command, append(args, core)...)
	cmd.Stderr = &messages
	if slices.Contains(args, "-F") {
		out, err := os.Create(dump)
		require(t, err)
		defer out.Close()
		cmd.Stdout = out
	} else {
		cmd.Args = append(cmd.Args, dump)
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("makedumpfile %v: %v: %s", args, err, messages.String())
	}
	require(t, os.Remove(core))
	return dump
}

// relayout copies an ELF core and puts its program headers right behind the ELF header,
// where makedumpfile before 1.7.3 looks for them. QEMU has had them behind two section
// headers since 7.2.
func relayout(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	h, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return err
	}
	const ehdr, phdr = 64, 56 // sizes of the ELF header, and of a program header
	at := binary.LittleEndian.Uint64(b[32:])
	copy(b[ehdr:], bytes.Clone(b[at:at+phdr*uint64(len(h.Progs))]))
	binary.LittleEndian.PutUint64(b[32:], ehdr)
	clear(b[40:48])   // e_shoff
	clear(b[58:ehdr]) // e_shentsize, e_shnum, e_shstrndx
	return os.WriteFile(to, b, 0o600)
}
