package cos

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/internal/redact"
	"github.com/nodelens/nodelens/linux"
)

// A Secrecy says whether values that may be secrets are in a report.
type Secrecy string

// What a report does with values that may be secrets.
const (
	SecretsHidden Secrecy = "hidden" // names, lengths and keyed digests are there
	SecretsShown  Secrecy = "shown"  // the values are, too: Options.Secrets asked for them
)

// A Secret is a value that may be one: it is named, and shown only where Options.Secrets asks for that, or where it is sure to be
// none.
type Secret struct {
	Name   string `json:"name"`
	Length int    `json:"length"` // of the value, in bytes
	// Digest is a keyed digest of the value: equal values have equal ones in all reports whose SecretKey is the same. Without the key,
	// which is in no report, values can't be found by trying. Empty for what is sure to be no secret.
	Digest string  `json:"digest" jsonx:"null"`
	Value  *string `json:"value"` // nil where it is hidden
}

// hidden is what stands in a text in place of what is hidden.
const hidden = "[hidden]"

// A secrecy is what the options say of secrets.
type secrecy struct {
	show bool
	key  []byte
}

// A sealer hides values. It is safe for concurrent use.
type sealer struct {
	key   []byte
	drawn bool // the key is drawn at random
	show  bool
	macs  sync.Pool // of *mac
}

// A mac makes digests, without allocating but for what it returns.
type mac struct {
	hash.Hash
	sum []byte
}

// newSealer returns the sealer of a node's report. Where no key is given it is made of what the image alone has, so that the
// report of one image is always the same; see imageKey. Where that is not enough it is drawn at random.
func newSealer(k *linux.Kernel, tasks []*linux.Task, s secrecy) *sealer {
	key := s.key
	if len(key) == 0 {
		key = imageKey(k, tasks)
	}
	drawn := len(key) == 0
	if drawn {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	return &sealer{key: key, drawn: drawn, show: s.show}
}

// Of so many tasks the canaries are taken; with fewer than the least there is no key.
const (
	keyTasks      = 8
	leastCanaries = 3
)

// imageKey makes a key of the stack canaries of the first tasks: 56 bits each that the kernel draws for every task (dup_task_struct of
// kernel/fork.c) and no user space can read. The first tasks are there from boot on, so images of one boot have one key. It returns nil where the kernel does without
// canaries.
func imageKey(k *linux.Kernel, tasks []*linux.Task) []byte {
	h := sha256.New()
	n := 0
	add := func(canary uint64, err error) {
		if err == nil && canary != 0 {
			n++
			h.Write(binary.LittleEndian.AppendUint64(nil, canary))
		}
	}
	for _, t := range tasks[:min(len(tasks), keyTasks)] { // by ascending PID
		add(k.Objects().Struct("task_struct", t.Addr).At("stack_canary").Uint())
	}
	if n < leastCanaries {
		return nil
	}
	return h.Sum(nil)
}

// digestSize is how much of an HMAC a digest is, in bytes.
const digestSize = 12

// digest returns the keyed digest of a value.
func (s *sealer) digest(value string) string {
	m, ok := s.macs.Get().(*mac)
	if !ok {
		m = &mac{Hash: hmac.New(sha256.New, s.key)}
	}
	defer s.macs.Put(m)
	m.Reset()
	_, _ = io.WriteString(m, value) // never fails
	m.sum = m.Sum(m.sum[:0])
	return hex.EncodeToString(m.sum[:digestSize])
}

// keyName names the key: reports of one key have one name of it.
func (s *sealer) keyName() string {
	return s.digest("the name of the key of a report of Nodelens")
}

// secrecy says what the report does with secrets.
func (s *sealer) secrecy() Secrecy {
	if s.show {
		return SecretsShown
	}
	return SecretsHidden
}

// seal hides a value.
func (s *sealer) seal(name, value string) Secret {
	c := Secret{Name: strings.Clone(name), Length: len(value), Digest: s.digest(value)}
	if s.show {
		c.Value = &value
	}
	return c
}

// variable hides the value of a variable of an environment. A text without a name may be one as a whole.
func (s *sealer) variable(text string) Secret {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return s.seal("", text)
	}
	return s.seal(name, value)
}

// environment hides the values of an environment.
func (s *sealer) environment(env []string) (all []Secret) {
	for _, e := range env {
		all = append(all, s.variable(e))
	}
	return all
}

// secretSysctl reports whether a setting of the kernel is a key: of addresses (Documentation/networking/ip-sysctl.rst, stable_secret) or of TCP
// Fast Open.
func secretSysctl(name string) bool {
	return strings.HasSuffix(name, "stable_secret") || strings.Contains(name, "tcp_fastopen_key")
}

// lastApplied is the annotation in which kubectl keeps what it last applied: whole environments.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// setting hides the value of a setting, such as an annotation or a sysctl, if it sounds or looks like a secret.
func (s *sealer) setting(name, value string) Secret {
	if name == lastApplied || secretSysctl(name) || redact.Sounds(name) || len(redact.Text(value, false)) > 0 {
		return s.seal(name, value)
	}
	return Secret{Name: name, Length: len(value), Value: &value}
}

// An ArgSecret is a secret in the arguments of a program. Its name is that of the option or the variable, or what it looks like.
type ArgSecret struct {
	Arg int `json:"arg"` // the argument that it is in, counted from 0
	Secret
}

// args hides secrets in arguments: in their place is "[hidden]". env is the environment that goes with them.
func (s *sealer) args(args, env []string) (masked []string, found []ArgSecret) {
	for i, spans := range redact.Args(args, env) {
		for _, p := range spans {
			found = append(found, ArgSecret{i, s.seal(p.Name, args[i][p.Start:p.End])})
		}
		masked = append(masked, s.without(args[i], spans))
	}
	return masked, found
}

// without returns a text without what is a secret in it.
func (s *sealer) without(text string, spans []redact.Span) string {
	if s.show || len(spans) == 0 {
		return text
	}
	var out strings.Builder
	at := 0
	for _, p := range spans {
		out.WriteString(text[at:p.Start])
		out.WriteString(hidden)
		at = p.End
	}
	out.WriteString(text[at:])
	return out.String()
}

// size is about how long the secret is as JSON.
func (s *Secret) size() int {
	n := 80 + jsonSize(s.Name)
	if s.Value != nil {
		n += jsonSize(*s.Value)
	}
	return n
}
