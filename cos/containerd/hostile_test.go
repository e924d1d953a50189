package containerd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/bolt"
)

// Databases whose pages were overwritten: each is its own child, or says that it goes on for
// gigabytes, or has thousands of elements. What is read
// of them is bounded, and that it is not all is told.
func TestHostileDatabases(t *testing.T) {
	whole := metadataDB(t)
	le := binary.LittleEndian
	for name, change := range map[string]func(page []byte, id uint64){
		"cycle": func(page []byte, id uint64) {
			le.PutUint32(page[8:], 1|200<<16)
			for i := range 200 {
				le.PutUint64(page[16+16*i+8:], 3+(id+uint64(i))%8)
			}
		},
		"overflow": func(page []byte, _ uint64) { le.PutUint32(page[12:], 1<<32-1) },
		"elements": func(page []byte, _ uint64) { le.PutUint16(page[10:], 1<<16-1) },
	} {
		b := bytes.Clone(whole)
		for id := 2; (id+1)*4096 <= len(b); id++ {
			change(b[id*4096:][:4096], uint64(id))
		}
		claimed := 0
		var err error
		alloctest.AtMost(t, 128<<20, name, func() {
			var claims []claim.Claim
			claims, err = readMetadata(bytes.NewReader(b), int64(len(b)))
			claimed = len(claims) + len(carveMetadata(bytes.NewReader(b), int64(len(b))))
		})
		if !errors.Is(err, bolt.ErrDamaged) && !errors.Is(err, bolt.ErrBudget) {
			t.Errorf("%s: %v", name, err)
		}
		if claimed > 1000 {
			t.Errorf("%s: %d claims", name, claimed)
		}
	}
}
