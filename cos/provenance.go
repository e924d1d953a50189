package cos

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/version"
)

// A Provenance says what a report was made of, and by what. Fields that are not known are
// zero.
type Provenance struct {
	Image        string        `json:"image" jsonx:"null"`        // name of the file, as it was opened
	Size         int64         `json:"size" jsonx:"null"`         // of the file, in bytes
	Format       string        `json:"format" jsonx:"null"`       // such as LiME
	Compression  string        `json:"compression" jsonx:"null"`  // of the file as a whole, such as gzip
	SHA256       string        `json:"sha256" jsonx:"null"`       // of the file, in lower-case hexadecimal
	SHA256From   DigestSource  `json:"sha256From" jsonx:"null"`   // who says so
	ETag         string        `json:"etag" jsonx:"null"`         // what a server knows the file by
	Captured     time.Time     `json:"captured"`                  // when the image was captured
	CapturedFrom CaptureSource `json:"capturedFrom" jsonx:"null"` // who says so
	Tool         string        `json:"tool" jsonx:"null"`         // path of the main package of the program
	Version      string        `json:"version" jsonx:"null"`      // of this module in it: what it was released as, or as go version -m shows it
	Arguments    []string      `json:"arguments"`                 // of the program: Options.Arguments, without secrets of URLs
}

// A DigestSource says where the digest of an image is from.
type DigestSource string

// The sources of a digest.
const (
	// DigestComputed: the file was read for it.
	DigestComputed DigestSource = "computed"
	// DigestOfManifest: the manifest says it that capture has put beside the image. The
	// file has the size that the manifest says; it was not read for it.
	DigestOfManifest DigestSource = "manifest"
)

// A CaptureSource says where the time of a capture is from.
type CaptureSource string

// The sources of the time of a capture.
const (
	// CapturedByManifest: the manifest says when the capture began.
	CapturedByManifest CaptureSource = "manifest"
	// CapturedByClock: the kernel's clock stood so when its page was captured.
	CapturedByClock CaptureSource = "kernel-clock"
)

// provenance returns what is known of the image without reading it, and what is wrong
// about that.
func provenance(info *image.Info, opts *Options) (p Provenance, notes []string) {
	p = Provenance{
		Image: info.Name, Size: info.Size, Format: info.Format, Compression: info.Compression, ETag: info.ETag,
		Arguments: redacted(opts.Arguments),
	}
	p.Tool, p.Version = version.Module()
	m, err := readManifest(info.Name + ".json")
	switch {
	case info.Name == "" || info.Size == 0 || err != nil || m.Schema != manifestSchema:
	case m.Image.Bytes != info.Size:
		notes = append(notes, fmt.Sprintf("the manifest beside the image is of a file of %d bytes, not of %d: it is not used", m.Image.Bytes, info.Size))
	default:
		p.Captured, p.CapturedFrom = m.Began.UTC(), CapturedByManifest
		if m.Image.SHA256 != "" {
			p.SHA256, p.SHA256From = m.Image.SHA256, DigestOfManifest
		}
	}
	return p, notes
}

// What of a URL can be a secret: the user, and the query, which signs it.
var userOfURL, queryOfURL = regexp.MustCompile(`://[^/?#]*@`), regexp.MustCompile(`(://[^?#]*)[?#].*`)

// redacted returns arguments without what of URLs in them can be a secret.
func redacted(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		args[i] = queryOfURL.ReplaceAllString(userOfURL.ReplaceAllString(a, "://"), "$1")
	}
	return args
}

// A manifest is what is of use here of the manifest that a capture leaves beside the image.
type manifest struct {
	Schema string    `json:"schema"`
	Began  time.Time `json:"began"`
	Image  struct {
		Bytes  int64  `json:"bytes"`
		SHA256 string `json:"sha256"`
	} `json:"image"`
}

// manifestSchema names the form of a manifest.
const manifestSchema = "nodelens/capture/v1"

// maxManifest is how much of what lies beside an image is read, at most.
const maxManifest = 64 << 20

// readManifest reads the manifest of a capture.
func readManifest(name string) (*manifest, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m := new(manifest)
	return m, json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(m)
}

// hash computes the digest of the image file, and returns a note if the manifest has another.
func (p *Provenance) hash(ctx context.Context, f *image.File, progress func(stage string, done, total int64)) (note string, err error) {
	tell := func(done, total int64) {
		if progress != nil {
			progress("hashing the image", done, total)
		}
	}
	sum, err := f.SHA256(ctx, tell)
	if err != nil {
		return "", err
	}
	return p.computed(sum[:]), nil
}

// computed enters the digest that was computed.
func (p *Provenance) computed(sum []byte) (note string) {
	if claimed, err := hex.DecodeString(p.SHA256); err == nil && p.SHA256 != "" && !bytes.Equal(claimed, sum) {
		note = fmt.Sprintf("the image is not the one that the manifest beside it describes, whose SHA-256 is %x", claimed)
	}
	p.SHA256, p.SHA256From = hex.EncodeToString(sum), DigestComputed
	return note
}
