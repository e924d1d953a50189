package image

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/nodelens/nodelens/internal/httprange"
	"github.com/nodelens/nodelens/internal/source"
)

// Remote are the settings of reading from a server. Nil stands for the zero Remote.
type Remote struct {
	Client     *http.Client // nil: one of its own, with time limits and the proxy of the environment
	BlockSize  int          // how much is read at least, in bytes; 0: 1 MiB
	ReadAhead  int          // how many blocks are read ahead at most; 0: 8
	CacheBytes int64        // how much of what was read is kept, in bytes; 0: 256 MiB
	MaxBytes   int64        // how much may be read in all, in bytes; 0: any amount
	Retries    int          // how often a request that fails is made again; 0: 5; negative: never
}

// OpenURL opens the image at a URL of http or https, such as a signed URL of a bucket of
// Google Cloud Storage, Amazon S3 or Azure, and reads the parts of it that are needed. The
// caller must Close it.
//
// The server must send ranges of the object (RFC 9110, section 14). The object's ETag is
// asked for in each request: if it is replaced, that is an error of reading, and so a gap,
// never a mix of two. An image that is compressed as a whole, or has no header, has to be
// read whole, or nearly so.
//
// Requests end with ctx for as long as the File is open. Neither Info nor errors tell the
// query of the URL, which may be a secret.
func OpenURL(ctx context.Context, rawURL string, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	r, err := httprange.Open(ctx, rawURL, (*httprange.Options)(opts.Remote))
	if err != nil {
		return nil, fmt.Errorf("image: %w", explainRemote(rawURL, err))
	}
	s, err := source.New(ctx, r, r.Size(), opts.source())
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("image: %w", explain(r.Name(), nil, err)), r.Close())
	}
	f, err := opts.open(ctx, s)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("image: %w", explain(r.Name(), s, err)), r.Close())
	}
	f.Info.Name, f.Info.ETag, f.closer, f.traffic = r.Name(), r.ETag(), r, r.Traffic
	return f, nil
}

// IsURL reports whether Open takes a name for a URL.
func IsURL(name string) bool {
	return strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
}

// PublicURL returns a URL without user, query and fragment, which may be secrets, as Info
// has it.
func PublicURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nameless
	}
	return httprange.Name(u)
}

// Traffic returns how many requests a server has answered for the image so far, and how
// many bytes came; 0 for an image that is not read from a server.
func (f *File) Traffic() (requests, bytes int64) {
	if f.traffic == nil {
		return 0, 0
	}
	return f.traffic()
}
