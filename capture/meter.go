package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

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
