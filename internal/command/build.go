package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// Build returns what tells this program from others, and from other builds of it, however little they differ: a digest of the versions of all modules and
// settings that it was built of, and of its build ID, which the linker makes of all that it linked. It is empty where the program has no build ID.
var Build = sync.OnceValue(func() string {
	id := buildID()
	info, ok := debug.ReadBuildInfo()
	if len(id) == 0 || !ok {
		return ""
	}
	sum := sha256.Sum256(append([]byte(info.String()+"\n"), id...))
	return hex.EncodeToString(sum[:])
})

// Where a build ID is, within the first bytes of a program: in a note of ELF files (its type, 4, and its owner stand behind the length of
// the ID), and before the code of others.
const (
	buildIDNote  = "\x04\x00\x00\x00Go\x00\x00"
	buildIDBegin = "\xff Go build ID: \""
	buildIDEnd   = "\"\n \xff"
	buildIDReach = 64 << 10
)

// buildID returns the build ID of this program; nil where it has none.
func buildID() []byte {
	name, err := os.Executable()
	if runtime.GOOS == "linux" {
		name, err = "/proc/self/exe", nil // which is the one that runs, also where another is in its place by now
	}
	if err != nil {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, buildIDReach))
	if err != nil {
		return nil
	}
	if before, rest, found := bytes.Cut(head, []byte(buildIDNote)); found && len(before) >= 4 {
		n := binary.LittleEndian.Uint32(before[len(before)-4:])
		return rest[:min(uint64(n), uint64(len(rest)))]
	}
	_, rest, found := bytes.Cut(head, []byte(buildIDBegin))
	id, _, ended := bytes.Cut(rest, []byte(buildIDEnd))
	if !found || !ended {
		return nil
	}
	return id
}
