package cos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/image"
)

// manifestOf returns the text of a manifest for an image of that size and digest.
func manifestOf(t *testing.T, size int64, digest string, began time.Time) []byte {
	t.Helper()
	m := capture.Manifest{Schema: capture.Schema, Image: capture.Image{Format: capture.FormatLiME, Bytes: size, SHA256: digest}, Began: began, Ended: began.Add(time.Minute)}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestProvenance(t *testing.T) {
	content := []byte("not really an image")
	sum := sha256.Sum256(content)
	digest, other := hex.EncodeToString(sum[:]), strings.Repeat("ab", 32)
	size, began := int64(len(content)), time.Date(2026, 11, 21, 4, 0, 0, 0, time.FixedZone("", 3600))
	described := Provenance{SHA256: digest, SHA256From: DigestOfManifest, Captured: began.UTC(), CapturedFrom: CapturedByManifest}
	computed := described
	computed.SHA256From = DigestComputed
	for name, test := range map[string]struct {
		manifest []byte
		hash     bool
		want     Provenance
		note     string
	}{
		"alone":              {},
		"hashed":             {hash: true, want: Provenance{SHA256: digest, SHA256From: DigestComputed}},
		"manifest":           {manifest: manifestOf(t, size, digest, began), want: described},
		"manifest, hashed":   {manifest: manifestOf(t, size, digest, began), hash: true, want: computed},
		"manifest of other":  {manifest: manifestOf(t, size, other, began), hash: true, want: computed, note: other},
		"other size":         {manifest: manifestOf(t, size+1, digest, began), note: "is not used"},
		"other JSON":         {manifest: []byte(`{"schema":"other/v1","image":{"bytes":19}}`)},
		"no JSON":            {manifest: []byte("\x00")},
		"capture that broke": {manifest: manifestOf(t, size, "", began), want: Provenance{Captured: began.UTC(), CapturedFrom: CapturedByManifest}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "image")
			write(t, file, content)
			if test.manifest != nil {
				write(t, file+".json", test.manifest)
			}
			n := &Node{image: openByWord(t, file)}
			n.image.Info.Compression = "gzip"
			args := []string{"-x", "https://host/bucket/image?X-Signature=secret"}
			if err := n.trace(t.Context(), &Options{Hash: test.hash, Arguments: args}); err != nil {
				t.Fatal(err)
			}
			want := test.want
			want.Image, want.Size, want.Format, want.Compression, want.Arguments = file, size, "raw memory", "gzip", []string{"-x", "https://host/bucket/image"}
			want.Tool, want.Version = "github.com/nodelens/nodelens/cos.test", n.provenance.Version
			if diff := cmp.Diff(want, n.provenance); diff != "" || n.provenance.Version == "" {
				t.Errorf("provenance (-want +got):\n%s", diff)
			}
			if notes := strings.Join(n.notes, "; "); (notes == "") != (test.note == "") || !strings.Contains(notes, test.note) {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

// openByWord opens a file that is memory by the word of the caller.
func openByWord(t *testing.T, name string) *image.File {
	t.Helper()
	f, err := image.Open(t.Context(), name, &image.Options{Format: image.FormatRaw})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHashCanceled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	write(t, file, make([]byte, 3<<20))
	ctx, cancel := context.WithCancel(t.Context())
	p := Provenance{Image: file, Size: 3 << 20}
	_, err := p.hash(ctx, openByWord(t, file), func(_ string, done, total int64) {
		if cancel(); done != 1<<20 || total != 3<<20 {
			t.Errorf("%d of %d", done, total)
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestRedacted(t *testing.T) {
	for arg, want := range map[string]string{
		"-json":                           "-json",
		"node?.lime":                      "node?.lime",
		"https://host/a/b":                "https://host/a/b",
		"https://host/a?X-Signature=abc":  "https://host/a",
		"-url=http://host/a#b?c":          "-url=http://host/a",
		"https://user:key@host/a@b":       "https://host/a@b",
		"https://user@host?a=https://b@c": "https://host",
		"https://user:k@y@host/a":         "https://host/a",
	} {
		if got := redacted([]string{arg})[0]; got != want {
			t.Errorf("%s: %s, want %s", arg, got, want)
		}
	}
}
