package cos

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/nodelens/nodelens/linux"
)

// A Secret is a value that may be one: it is named, and shown only where Options.Secrets asks for that.
type Secret struct {
	Name   string `json:"name"`
	Length int    `json:"length"` // of the value, in bytes
	// Digest is a keyed digest of the value. Within one image, equal values have equal digests. The key is in the image and
	// not in the report, so that values can't be found by trying.
	Digest string  `json:"digest" jsonx:"null"`
	Value  *string `json:"value"` // nil where it is hidden
}

// A sealer hides values.
type sealer struct {
	key  []byte // empty where the image gives none: there are no digests then
	show bool
}

// newSealer takes as key what the kernel drew at random when it started its first task (boot_init_stack_canary of
// arch/x86/include/asm/stackprotector.h).
func newSealer(k *linux.Kernel, show bool) *sealer {
	s := &sealer{show: show}
	if canary, err := k.Object("init_task").At("stack_canary").Uint(); err == nil && canary != 0 {
		s.key = binary.LittleEndian.AppendUint64(nil, canary)
	}
	return s
}

// seal hides a value.
func (s *sealer) seal(name, value string) Secret {
	c := Secret{Name: name, Length: len(value)}
	if len(s.key) > 0 {
		h := hmac.New(sha256.New, s.key)
		h.Write([]byte(value))
		c.Digest = hex.EncodeToString(h.Sum(nil)[:12])
	}
	if s.show {
		c.Value = &value
	}
	return c
}

// variable hides the value of a variable of an environment. A text without a "=" may be one as a whole.
func (s *sealer) variable(text string) Secret {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return s.seal("", text)
	}
	return s.seal(name, value)
}
