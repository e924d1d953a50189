// Package httprange reads parts of an object on an HTTP server, such as a bucket behind a
// signed URL (RFC 9110, section 14, "Range Requests").
//
// Blocks that were read are kept. Blocks next to one another that are missing come with
// one request, and who reads on where it has read before gets more and more at once. A
// request that fails for a reason that may pass is made again. An object that was replaced
// since it was opened is an error, never a mix of two.
package httprange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/nodelens/nodelens/internal/blockcache"
)

// The reasons for which an object can't be read.
var (
	// ErrNoRanges: the server gives the object as a whole only.
	ErrNoRanges = errors.New("the server does not give parts of it")
	// ErrReplaced: the object is not the one that was opened.
	ErrReplaced = errors.New("it was replaced or changed since it was opened")
	// ErrDowngrade: a redirection leads from https to http.
	ErrDowngrade = errors.New("redirected from https to http")
	// ErrLimit: more was read than Options.MaxBytes.
	ErrLimit = errors.New("over the limit of what may be read of it")
)

// Options are the settings of Open. Nil stands for the zero Options.
type Options struct {
	Client     *http.Client // nil: one of its own, with time limits
	BlockSize  int          // how much is read at least, in bytes; 0: 1 MiB
	ReadAhead  int          // how many blocks are read at once at most before anybody asks for them; 0: 8
	CacheBytes int64        // how much of what was read is kept; 0: 256 MiB
	MaxBytes   int64        // how much may be read in all; 0: any amount
	Retries    int          // how often a request is made again; 0: 5; negative: never
}

func (o *Options) orDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Client == nil {
		d.Client = newClient()
	}
	if d.BlockSize <= 0 {
		d.BlockSize = 1 << 20
	}
	if d.ReadAhead <= 0 {
		d.ReadAhead = 8
	}
	if d.CacheBytes <= 0 {
		d.CacheBytes = 256 << 20
	}
	if d.Retries == 0 {
		d.Retries = 5
	}
	return d
}

// A Reader reads an object. It is safe for concurrent use.
type Reader struct {
	ctx  context.Context //nolint:containedctx // ReadAt has none: it ends with that of Open
	opts Options
	name string // the URL without what may be secret in it
	url  *url.URL
	pin  pin
	size int64

	cache    *blockcache.Cache
	requests atomic.Int64
	bytes    atomic.Int64

	mu      sync.Mutex // guards all below
	at      *url.URL   // where the last redirection led; nil before the first
	streams streams
}

// Open opens the object at a URL. Everything that is read of it, for as long as it is
// open, ends with ctx. Errors do not tell the query of the URL, which may be a secret.
func Open(ctx context.Context, rawURL string, opts *Options) (*Reader, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("not a URL") // the error of Parse tells all of it
	}
	r := &Reader{ctx: ctx, opts: opts.orDefaults(), url: u, name: Name(u)}
	r.cache = blockcache.New(r.opts.CacheBytes)
	if err := r.first(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return r, nil
}

// Name returns a URL without user, query and fragment, which may be secrets.
func Name(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Name returns the URL of the object, without what may be secret in it.
func (r *Reader) Name() string { return r.name }

// ETag returns what the server knows the object by; empty if it does not say.
func (r *Reader) ETag() string { return r.pin.etag }

// Size returns the size of the object in bytes.
func (r *Reader) Size() int64 { return r.size }

// Traffic returns how many requests were answered so far, redirections among them, and how
// many bytes of the object came.
func (r *Reader) Traffic() (requests, bytes int64) { return r.requests.Load(), r.bytes.Load() }

// first makes the first request, which tells the size and what the object is known by, and
// keeps what comes with it.
func (r *Reader) first() error {
	e, _ := r.cache.Acquire(0)
	defer r.cache.Release(e)
	err := r.retry(func() (got bool, err error) {
		answer, err := r.ask(0, int64(r.opts.BlockSize))
		if err != nil {
			return false, err
		}
		defer answer.Body.Close()
		if r.size, err = sizeOf(answer); err != nil || r.size == 0 {
			return false, err
		}
		r.pin = pinOf(answer)
		buf := r.cache.Buffer(int(min(int64(r.opts.BlockSize), r.size)))
		if _, err := io.ReadFull(answer.Body, buf); err != nil {
			r.cache.Recycle(buf)
			return false, passing(err)
		}
		e.Buf = buf
		return true, nil
	})
	e.Err = err
	r.cache.Filled(e)
	r.streams.fetched(0, 1)
	return err
}

// ReadAt implements [io.ReaderAt].
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		got, err := r.readBlock(p[n:], at)
		n += got
		if err != nil {
			return n, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return n, nil
}

// readBlock reads from the block that has the byte at an offset. p says how far the caller
// is going to read.
func (r *Reader) readBlock(p []byte, at int64) (int, error) {
	size := int64(r.opts.BlockSize)
	i := int(at / size)
	e, owner := r.cache.Acquire(i)
	if owner {
		r.fetch(e, int((at+int64(len(p))-1)/size)-i+1)
	}
	defer r.cache.Release(e)
	e.Wait()
	if e.Err != nil {
		return 0, e.Err
	}
	return copy(p, e.Buf[at-int64(i)*size:]), nil
}

// Close ends the use of connections that nothing is read from.
func (r *Reader) Close() error {
	r.opts.Client.CloseIdleConnections()
	return nil
}
