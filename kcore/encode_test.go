package kcore

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/snappy"
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
		want = append(append(want, recordHeader(magicLiME, 1, memory)...), b...)
		at += vmem.PhysAddr(memory.Size)
	}
	return records, want
}

// TestEncoders encodes records whose ends are anywhere in the blocks, and reads them with
// the decoders of others.
func TestEncoders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		records, want := recordsOf(r)
		var frame, image bytes.Buffer
		z, err := newLZ4Encoder(&frame)
		if err != nil {
			t.Fatal(err)
		}
		avml := newAVMLEncoder(&image)
		for _, rec := range records {
			if err := z.record(rec.memory, rec.data); err != nil {
				t.Fatal(err)
			}
			if err := avml.record(rec.memory, rec.data); err != nil {
				t.Fatal(err)
			}
			b := image.Bytes()
			image.Reset()
			if size := binary.LittleEndian.Uint64(b[len(b)-8:]); size != uint64(len(b)-recordHeaderSize-8) {
				t.Errorf("a stream of %d bytes says it has %d", len(b)-recordHeaderSize-8, size)
			}
			got, err := io.ReadAll(snappy.NewReader(bytes.NewReader(b[recordHeaderSize : len(b)-8])))
			if err != nil || !bytes.Equal(got, rec.data) {
				t.Fatalf("AVML record of %d bytes: %d others, %v", len(rec.data), len(got), err)
			}
		}
		if err := z.close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(lz4.NewReader(&frame))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("LZ4 frame of %d bytes: %d others, %v", len(want), len(got), err)
		}
	}
}
