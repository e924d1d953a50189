package capture

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/vmem"
)

// recordsOf returns records of many lengths: random, compressible, zero and mixed bytes.
func recordsOf(r *rand.Rand) (records []record, want []byte) {
	at := vmem.PhysAddr(0x1000)
	source := rand.NewChaCha8([32]byte{7})
	for _, pages := range []int{1, 63, 1, 64, 65, 200, 16, 1, 513, 2} {
		b := make([]byte, pages*pageSize)
		for off := 0; off < len(b); off += 0x4000 {
			part := b[off:min(len(b), off+0x4000)]
			switch r.IntN(4) {
			case 0:
				_, _ = source.Read(part)
			case 1:
				copy(part, bytes.Repeat([]byte("compressible"), len(part)/12))
			case 2:
				part[r.IntN(len(part))] = 1
			}
		}
		memory := rng{Start: at, Size: uint64(len(b))}
		records = append(records, record{memory, b})
		head := binary.LittleEndian.AppendUint64([]byte("EMiL\x01\x00\x00\x00"), uint64(memory.Start))
		head = binary.LittleEndian.AppendUint64(head, uint64(memory.Last()))
		want = append(append(append(want, head...), make([]byte, 8)...), b...)
		at += vmem.PhysAddr(memory.Size)
	}
	return records, want
}

// TestLZ4Writer writes records whose ends are anywhere in the blocks, and reads them with
// the decoder of others.
func TestLZ4Writer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		records, want := recordsOf(r)
		var frame bytes.Buffer
		w, err := newLiMELZ4Writer(&frame)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			if err := w.memory.WriteBytes(rec.memory.Start, rec.data); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(lz4.NewReader(&frame))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("LZ4 frame of %d bytes: %d others, %v", len(want), len(got), err)
		}
	}
}
