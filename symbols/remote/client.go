package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/nodelens/nodelens/internal/httprange"
	"github.com/nodelens/nodelens/symbols"
)

// A Client says how files are fetched. The zero value is ready for use, and so is nil. It
// is safe for concurrent use.
type Client struct {
	// HTTP makes the requests. Nil: a client without a limit on the time of a transfer,
	// which refuses redirects from https to http.
	HTTP *http.Client

	// Store remembers for a while what a server does not have. Nil: nothing does.
	Store *symbols.Store

	// TempDir is where to put files while they are used. Empty: the default directory of
	// the system.
	TempDir string

	// Patience is how long a server may take until its next byte. 0: 90 seconds, for
	// debuginfod servers unpack a package before they answer.
	Patience time.Duration

	// MaxSize is how large a file may be, in bytes. 0: 4 GiB.
	MaxSize int64

	pause time.Duration // before the first time that a transfer is taken up again
}

// The reasons for which a file can't be fetched.
var (
	// ErrStalled: the server went silent.
	ErrStalled = errors.New("the server went silent")
	// ErrTooLarge: the file is larger than Client.MaxSize.
	ErrTooLarge = errors.New("too large")
	// ErrDamaged: the file is not the one whose MD5 the server has beside it.
	ErrDamaged = errors.New("damaged")
	// ErrDowngrade: a redirect leads from https to http.
	ErrDowngrade = httprange.ErrDowngrade
)

var errURL = errors.New("not a URL")

// A StatusError is an answer of a server that is no file.
type StatusError struct {
	Code int // of HTTP
}

// Error returns the status as text.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answers %d %s", e.Code, http.StatusText(e.Code))
}

// isMissing reports whether a server has no such file. Google's storage answers 403 to
// who may not list a bucket.
func isMissing(err error) bool {
	code := 0
	if e, ok := errors.AsType[*StatusError](err); ok {
		code = e.Code
	}
	if e, ok := errors.AsType[*httprange.StatusError](err); ok {
		code = e.StatusCode()
	}
	return code == http.StatusNotFound || code == http.StatusGone || code == http.StatusForbidden
}

// absent reports whether a server said a short while ago that it does not have something.
func (c *Client) absent(server, key string) bool {
	return c.Store != nil && c.Store.Absent(shown(server), key)
}

// setAbsent remembers that a server does not have something. If it can't be, the server is
// asked again.
func (c *Client) setAbsent(server, key string) {
	if c.Store != nil {
		_ = c.Store.SetAbsent(shown(server), key)
	}
}

const (
	defaultPatience = 90 * time.Second
	defaultMaxSize  = 4 << 30
	defaultPause    = 250 * time.Millisecond
)

// get is a Client with the defaults filled in.
func (c *Client) get() *Client {
	var d Client
	if c != nil {
		d = *c
	}
	if d.HTTP == nil {
		d.HTTP = &http.Client{CheckRedirect: noDowngrade}
	}
	if d.Patience == 0 {
		d.Patience = defaultPatience
	}
	if d.MaxSize == 0 {
		d.MaxSize = defaultMaxSize
	}
	if d.pause == 0 {
		d.pause = defaultPause
	}
	return &d
}

// maxRedirects is how many redirects are followed, as net/http has it.
const maxRedirects = 10

func noDowngrade(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("%d redirects", len(via))
	case via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https":
		return ErrDowngrade
	}
	return nil
}

// do sends a request, and returns the answer if its status is one of those wanted. Its
// body fails where the server goes silent, and must be closed.
func (c *Client) do(ctx context.Context, from string, header map[string]string, want ...int) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		cancel(nil)
		return nil, errURL // the error shows the URL
	}
	// What is fetched stays as it is stored, so that offsets and sizes are those of the
	// file.
	r.Header.Set("Accept-Encoding", "identity")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	watch := time.AfterFunc(c.Patience, func() { cancel(ErrStalled) })
	resp, err := c.HTTP.Do(r)
	if err != nil {
		watch.Stop()
		err = cmp.Or(context.Cause(ctx), bare(err))
		cancel(nil)
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, watch: watch, patience: c.Patience}
	if slices.Contains(want, resp.StatusCode) {
		return resp, nil
	}
	_ = resp.Body.Close() // nothing of it is wanted
	return nil, &StatusError{resp.StatusCode}
}

// shown returns a URL as it may be shown: a user's name and password, and what is behind a
// question mark, can be secrets.
func shown(from string) string {
	u, err := url.Parse(from)
	if err != nil {
		return "a server"
	}
	return httprange.Name(u)
}

// bare returns an error without the URL, which is told elsewhere.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// A body is what a server sends.
type body struct {
	io.ReadCloser

	ctx      context.Context //nolint:containedctx // of the request, whose end this is
	cancel   context.CancelCauseFunc
	watch    *time.Timer
	patience time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(b.patience)
	n, err := b.ReadCloser.Read(p)
	b.watch.Stop()
	if err != nil && !errors.Is(err, io.EOF) && context.Cause(b.ctx) != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *body) Close() error {
	b.watch.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
