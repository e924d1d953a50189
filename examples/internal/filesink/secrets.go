package filesink

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"

	"github.com/nodelens/nodelens/internal/redact"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// Secrets tells which files hold secrets. It is not safe for concurrent use.
type Secrets struct {
	show    bool
	devices map[pagecache.Device]bool // of the volumes of pods that do
	key     []byte
	hidden  int // how many were
}

// secretVolume matches where the kubelet mounts volumes that hold secrets and tokens (GetPodVolumeDir of its pkg/kubelet).
var secretVolume = regexp.MustCompile(`/pods/[^/]+/volumes/kubernetes\.io~(secret|projected)/[^/]+$`)

// secretPath matches files that hold secrets wherever they are: of service accounts, the node's own, users' and the runtime's,
// whose records have environments in them.
var secretPath = regexp.MustCompile(`(^|/)(secrets/kubernetes\.io/.|etc/kubernetes/pki/.|kubelet/pki/.|etc/g?shadow-?$|\.ssh/id_|ssh_host_\w+_key$|\.docker/config\.json$|\.kube/config$|[^/]*kubeconfig[^/]*$|kube-env$` +
	`|kubernetes\.io~(secret|projected)/.|io\.containerd\.runtime\.v2\.task/.*/config\.json$|io\.containerd\.metadata\.v1\.bolt/meta\.db$)`)

// FindSecrets finds the volumes that do by the mounts of process 1, which are those of the node. With show nothing is left out.
func FindSecrets(ctx context.Context, set *pagecache.Set, show bool) *Secrets {
	s := &Secrets{show: show, devices: map[pagecache.Device]bool{}, key: make([]byte, sha256.Size)}
	_, _ = rand.Read(s.key) // never fails
	for _, t := range set.Tasks() {
		if t.PID != 1 {
			continue
		}
		files, err := set.FS(ctx, t)
		if err != nil {
			return s // names tell of files, all the same
		}
		for m, err := range t.Mounts(ctx) {
			if err != nil || !secretVolume.MatchString(m.MountPoint) {
				continue
			}
			if f, err := files.Find(m.MountPoint, true); err == nil {
				s.devices[f.Device] = true
			}
		}
	}
	return s
}

// mostText is how long a file is at most that is looked at for keys and tokens, in bytes.
const mostText = 64 << 10

// Hides reports whether a regular file is to be left out: by the volume or the name, or by what is in it.
func (s *Secrets) Hides(ctx context.Context, f *pagecache.File) bool {
	if s == nil || s.show {
		return false
	}
	secret := s.devices[f.Device] || secretPath.MatchString(clean(f.Path))
	if !secret && f.Size <= mostText {
		if c, err := f.Content(ctx); err == nil {
			b := make([]byte, c.Size)
			n, _ := c.ReadAt(b, 0)
			secret = redact.Looks(string(b[:n]))
		}
	}
	if secret {
		s.hidden++
	}
	return secret
}

// digest is a keyed digest of what is in memory of a file: who has it can't try contents.
func (s *Secrets) digest(w *Work, f *pagecache.File) string {
	c, err := f.Content(w.Context)
	if err != nil {
		return "secret, lost"
	}
	h := hmac.New(sha256.New, s.key)
	for _, e := range c.Cached() {
		if _, err := io.Copy(h, w.reader(c, e.Offset, e.Size)); err != nil {
			return "secret, lost"
		}
	}
	return fmt.Sprintf("secret %x", h.Sum(nil)[:12])
}

// Tell says what was done with secrets, after a prefix; flag is what has them shown.
func (s *Secrets) Tell(w io.Writer, prefix, flag string) {
	switch {
	case s == nil:
	case s.show:
		fmt.Fprintf(w, "%ssecrets are SHOWN\n", prefix)
	case s.hidden > 0:
		fmt.Fprintf(w, "%ssecrets are hidden: %d files; %s shows them\n", prefix, s.hidden, flag)
	}
}
