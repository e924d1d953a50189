package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
)

// TestResponder runs the command of docs/responder.md that captures, on a machine whose memory is that of the bundled node: what it writes is the image
// that the next commands there are run on.
func TestResponder(t *testing.T) {
	testimages.Long(t)
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	node, err := lime.Open(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	root, dir := t.TempDir(), t.TempDir()
	machineOf(t, root, node)
	for _, line := range responderCaptures(t) {
		args := append([]string{"-q", "-root", root}, strings.Fields(line)...)
		for i := range args {
			if args[i] == "node.lime" {
				args[i] = filepath.Join(dir, "node.lime")
			}
		}
		runCapture(t, exitWhole, args...)
	}
	captured, err := lime.Open(filepath.Join(dir, "node.lime"))
	if err != nil {
		t.Fatal(err)
	}
	defer captured.Close()
	ranges := slices.Clone(node.Ranges())
	for i := range ranges { // a part of a page at the end of RAM is not captured
		ranges[i].Size -= (uint64(ranges[i].Start) + ranges[i].Size) % 4096
	}
	if d := cmp.Diff(ranges, captured.Ranges()); d != "" {
		t.Errorf("ranges (-node +captured):\n%s", d)
	}
	want, got := make([]byte, 1<<20), make([]byte, 1<<20)
	for _, r := range ranges {
		for at := uint64(0); at < r.Size; at += uint64(len(want)) {
			n := min(uint64(len(want)), r.Size-at)
			_, errNode := node.ReadAt(want[:n], int64(uint64(r.Start)+at))
			_, errCaptured := captured.ReadAt(got[:n], int64(uint64(r.Start)+at))
			if errNode != nil || errCaptured != nil || !bytes.Equal(want[:n], got[:n]) {
				t.Fatalf("memory at %#x differs: %v, %v", uint64(r.Start)+at, errNode, errCaptured)
			}
		}
	}
	r, err := cos.AnalyzeNode(t.Context(), cos.File(filepath.Join(dir, "node.lime")), nil)
	if err != nil || r.Hostname == "" || !r.Whole() {
		t.Errorf("what was captured: %v", err)
	}
}

// responderCaptures returns the arguments of each capture in docs/responder.md.
func responderCaptures(t *testing.T) (all []string) {
	t.Helper()
	for line := range strings.Lines(read(t, filepath.Join("..", "..", "docs", "responder.md"))) {
		if args, ok := strings.CutPrefix(line, "$ capture "); ok {
			all = append(all, strings.TrimSpace(args))
		}
	}
	if len(all) == 0 {
		t.Fatal("the page captures nothing")
	}
	return all
}

// machineOf makes /proc of a machine with the memory of an image: /proc/kcore by the tables of elf(5), without what is zero, and /proc/iomem.
func machineOf(t *testing.T, root string, memory *lime.File) {
	t.Helper()
	const directMap, page = 0xffff888000000000, 1 << 20
	ranges := memory.Ranges()
	le := binary.LittleEndian
	head := make([]byte, 0x10000)
	copy(head, "\x7fELF\x02\x01\x01")
	le.PutUint16(head[16:], 4)
	le.PutUint16(head[18:], 62)
	le.PutUint64(head[32:], 64)
	le.PutUint16(head[54:], 56)
	le.PutUint16(head[56:], uint16(len(ranges)))
	var iomem strings.Builder
	offset := uint64(len(head))
	for i, r := range ranges {
		le.PutUint32(head[64+56*i:], 1)
		for k, v := range []uint64{offset, directMap + uint64(r.Start), uint64(r.Start), r.Size, r.Size} {
			le.PutUint64(head[64+56*i+8+8*k:], v)
		}
		offset += r.Size
		fmt.Fprintf(&iomem, "%08x-%08x : System RAM\n", uint64(r.Start), uint64(r.Last()))
	}
	write(t, root, "proc/kcore", head)
	write(t, root, "proc/iomem", []byte(iomem.String()))
	f, err := os.OpenFile(filepath.Join(root, "proc", "kcore"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(offset)); err != nil {
		t.Fatal(err)
	}
	b, zeros, to := make([]byte, page), make([]byte, page), int64(len(head))
	for _, r := range ranges {
		section := io.NewSectionReader(memory, int64(r.Start), int64(r.Size))
		for left := int64(r.Size); left > 0; {
			n, err := io.ReadFull(section, b[:min(left, page)])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b[:n], zeros[:n]) {
				if _, err := f.WriteAt(b[:n], to); err != nil {
					t.Fatal(err)
				}
			}
			left, to = left-int64(n), to+int64(n)
		}
	}
}
