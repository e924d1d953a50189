package memory

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"regexp"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// walkAll reads what there is of the memory of some processes.
func walkAll(ctx context.Context, r *Reader, tasks []*linux.Task) {
	patterns := []Pattern{{Bytes: []byte("kubelet")}, {Expr: regexp.MustCompile(`pod[0-9a-f]{8}`)}}
	some := 0
	for _, t := range tasks {
		mm, err := t.MM()
		if err != nil || ctx.Err() != nil {
			continue
		}
		_, _ = r.Registers(t) // an error is a loss, here and below
		if _, _, err := r.Suspicious(ctx, t); err != nil || some == 4 {
			continue
		}
		some++
		_, _ = r.WriteCore(ctx, io.Discard, t)
		_, _, _ = r.Objects(ctx, t)
		for m, err := range r.Mappings(ctx, mm) {
			if err != nil {
				continue
			}
			u, err := r.Usage(ctx, mm, &m.VMA)
			if err == nil {
				_ = r.Smaps(&m, &u)
			}
		}
		for _, err := range r.Search(ctx, []*linux.Task{t}, patterns) {
			_ = err
		}
	}
}

// FuzzWalkMemory walks over the memory of a damaged node's processes.
func FuzzWalkMemory(f *testing.F) {
	nodetest.FuzzWalk(f, func(ctx context.Context, n *nodetest.Node) { walkAll(ctx, New(n.K, nil), n.Tasks) })
}

// FuzzHead parses the first page of any file: what it says of itself is within it, or is not told.
func FuzzHead(f *testing.F) {
	note := append([]byte{4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}, "GNU\x00\xab\xcd"...)
	f.Add(elfHead(120, uint64(len(note)), note))
	f.Add(elfHead(1<<64-1, 2, note)) // their sum is within the page
	f.Fuzz(func(t *testing.T, head []byte) {
		if len(head) < 64 {
			return
		}
		for _, p := range programHeaders(head[32:], head) {
			notes, ok := p.within(head)
			if ok && uint64(len(notes)) != p.size {
				t.Errorf("%d bytes of %d", len(notes), p.size)
			}
			if id := buildIDIn(notes); len(id) > 2*len(notes) {
				t.Errorf("build ID %s in %d bytes", id, len(notes))
			}
		}
	})
}

// elfHead is the beginning of an ELF file of one program header, of notes of that size at that offset, and what follows it.
func elfHead(offset, size uint64, rest []byte) []byte {
	head := make([]byte, 120)
	copy(head, elf.ELFMAG)
	le := binary.LittleEndian
	le.PutUint64(head[32:], 64)
	le.PutUint16(head[54:], 56)
	le.PutUint16(head[56:], 1)
	le.PutUint32(head[64:], uint32(elf.PT_NOTE))
	le.PutUint64(head[72:], offset)
	le.PutUint64(head[96:], size)
	return append(head, rest...)
}

// TestHeadersBeyond: what memory says of program headers is not believed where it can't be.
func TestHeadersBeyond(t *testing.T) {
	t.Parallel()
	for _, p := range programHeaders(elfHead(1<<64-1, 2, nil)[32:], elfHead(1<<64-1, 2, nil)) {
		if notes, ok := p.within(make([]byte, 4096)); ok {
			t.Errorf("% x", notes)
		}
	}
	for _, n := range []uint64{maxHeaders + 1, 1 << 63, 1<<64 - 1} {
		if at, err := (&objectReader{}).dynamic(map[uint64]uint64{atPHDR: 0x400040, atPHNum: n}); at != 0 || !errors.Is(err, kstruct.ErrCorrupt) {
			t.Errorf("%d headers: %v, %v", n, at, err)
		}
	}
}
