package kcore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/nodelens/nodelens/vmem"
)

// Magic numbers and versions of record headers (LiME's src/lime.h, AVML's src/image.rs),
// and that of the skippable frame that holds a manifest.
const (
	magicLiME     = 0x4C694D45
	magicAVML     = 0x4C4D5641
	magicManifest = 0x184D2A5E
)

// maxRecord is the memory that a record has at most, in bytes: AVML's MAX_BLOCK_SIZE.
const maxRecord = 16 << 20

// An encoder writes the records of an image. After a call that failed the image is broken,
// and nothing may follow.
type encoder interface {
	record(r vmem.Range[vmem.PhysAddr], data []byte) error
	close() error
}

func newEncoder(f Format, w io.Writer) (encoder, error) {
	switch f {
	case FormatLiME:
		return &limeEncoder{w}, nil
	case FormatAVML:
		return newAVMLEncoder(w), nil
	case FormatLiMELZ4:
		return newLZ4Encoder(w)
	}
	return nil, fmt.Errorf("kcore: %w: %v", ErrUnknownFormat, f)
}

// recordHeaderSize is the length of a recordHeader.
const recordHeaderSize = 32

// recordHeader is lime_mem_range_header, which AVML took over: its end is inclusive.
func recordHeader(magic, version uint32, r vmem.Range[vmem.PhysAddr]) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(make([]byte, 0, recordHeaderSize), magic)
	b = le.AppendUint32(b, version)
	b = le.AppendUint64(b, uint64(r.Start))
	b = le.AppendUint64(b, uint64(r.Last()))
	return le.AppendUint64(b, 0)
}

type limeEncoder struct{ w io.Writer }

func (e *limeEncoder) record(r vmem.Range[vmem.PhysAddr], data []byte) error {
	if _, err := e.w.Write(recordHeader(magicLiME, 1, r)); err != nil {
		return err
	}
	_, err := e.w.Write(data)
	return err
}

func (e *limeEncoder) close() error { return nil }

// A meter counts and hashes what is written.
type meter struct {
	w     io.Writer
	n     int64
	hash  hash.Hash
	short bool  // more was hashed than written
	err   error // if not nil, nothing more is written
}

func newMeter(w io.Writer) *meter { return &meter{w: w, hash: sha256.New()} }

func (m *meter) Write(b []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	hashed := make(chan struct{})
	go func() { // it takes as long as a fast network
		defer close(hashed)
		m.hash.Write(b)
	}()
	n, err := m.w.Write(b)
	<-hashed
	m.n += int64(n)
	m.short = m.short || n < len(b)
	return n, err
}

// sum returns the hash of what was written, or nothing after a write that was cut short.
func (m *meter) sum() string {
	if m.short {
		return ""
	}
	return hex.EncodeToString(m.hash.Sum(nil))
}
