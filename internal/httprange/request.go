package httprange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// patience is how long a server may send nothing before the request is given up.
	patience = 30 * time.Second
	// firstPause is how long to wait before the first repetition; each pause is twice as
	// long as the one before, up to maxPause.
	firstPause = 200 * time.Millisecond
	maxPause   = 10 * time.Second
	// maxRedirects bounds the redirections of one request.
	maxRedirects = 10
)

// newClient returns a client whose requests don't wait for ever.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = patience
	return &http.Client{Transport: t}
}

// client returns the client of the options, with the redirections counted and no way from
// an encrypted connection to a plain one.
func (r *Reader) client() *http.Client {
	c := *r.opts.Client
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		r.requests.Add(1)
		if len(via) >= maxRedirects {
			return errors.New("too many redirections")
		}
		if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return ErrDowngrade
		}
		return nil
	}
	return &c
}

// A passingError is one for which a request is made again.
type passingError struct {
	error
	after time.Duration // how long the server wants to be left alone
}

func (e *passingError) Unwrap() error { return e.error }

// passing returns err as one that may pass.
func passing(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &passingError{error: err}
}

// retry does something that makes a request, again and again while it fails for a reason
// that may pass. Tries that got something, as do reports, are not counted.
func (r *Reader) retry(do func() (got bool, err error)) error {
	pause := firstPause
	for try := 0; ; try++ {
		got, err := do()
		if got {
			try, pause = 0, firstPause
		}
		p, ok := errors.AsType[*passingError](err)
		switch {
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case !ok:
			return err
		case try >= r.opts.Retries:
			if try > 0 {
				return fmt.Errorf("tried %d times: %w", try+1, p.error)
			}
			return p.error
		}
		wait := max(pause/2+rand.N(pause/2+1), min(p.after, maxPause))
		pause = min(2*pause, maxPause)
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
}

// ask requests the bytes of the object from start up to but not including end.
func (r *Reader) ask(start, end int64) (*http.Response, error) {
	if left := r.opts.MaxBytes - r.bytes.Load(); r.opts.MaxBytes > 0 && end-start > left {
		return nil, fmt.Errorf("%w: %d bytes", ErrLimit, r.opts.MaxBytes)
	}
	r.mu.Lock()
	at := r.at
	r.mu.Unlock()
	if at == nil {
		at = r.url
	}
	answer, err := r.send(at, start, end)
	if err == nil || at == r.url || !isStatus(err) {
		return answer, err
	}
	// Where a redirection led may be gone: it may lead elsewhere now.
	r.mu.Lock()
	r.at = nil
	r.mu.Unlock()
	return r.send(r.url, start, end)
}

// send makes one request.
func (r *Reader) send(at *url.URL, start, end int64) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	watch := time.AfterFunc(2*patience, func() { cancel(errSilent) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, errors.New("not a URL that can be requested")
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	req.Header.Set("Accept-Encoding", "identity") // a part of something else is of no use
	r.pin.set(req.Header)
	answer, err := r.client().Do(req)
	if err != nil {
		err = withoutURL(ctx, err) // before cancel, which is a cause as well
		cancel(nil)
		if errors.Is(err, ErrDowngrade) {
			return nil, err
		}
		return nil, passing(err)
	}
	r.requests.Add(1)
	answer.Body = &body{ReadCloser: answer.Body, r: r, watch: watch, ctx: ctx, cancel: cancel}
	if err := statusError(answer); err != nil {
		answer.Body.Close()
		return nil, err
	}
	if final := answer.Request.URL; final.String() != at.String() {
		r.mu.Lock()
		r.at = final
		r.mu.Unlock()
	}
	return answer, nil
}

// errSilent is the reason for which a request was given up.
var errSilent = errors.New("the server sends nothing")

// withoutURL returns an error of a request without its URL, which may be a secret.
func withoutURL(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// A body counts what is read of an answer, and gives up when nothing comes.
type body struct {
	io.ReadCloser
	r      *Reader
	watch  *time.Timer
	ctx    context.Context //nolint:containedctx // of the request
	cancel context.CancelCauseFunc
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(patience)
	n, err := b.ReadCloser.Read(p)
	b.r.bytes.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = withoutURL(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.watch.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// A StatusError is an answer of a server that is not the object.
type StatusError struct {
	Status string // such as "403 Forbidden"
	Code   string // the server's own word for it, such as ExpiredToken; may be empty
	status int
}

// StatusCode returns the status as a number.
func (e *StatusError) StatusCode() int { return e.status }

// Error returns the status, and the server's own word for it.
func (e *StatusError) Error() string {
	if e.Code == "" {
		return "the server says " + e.Status
	}
	return fmt.Sprintf("the server says %s (%s)", e.Status, e.Code)
}

func isStatus(err error) bool {
	_, ok := errors.AsType[*StatusError](err)
	return ok
}

// statusError returns the error that an answer is; nil if it is a part of the object, or
// says that the object is empty.
func statusError(answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusPartialContent:
		if c := answer.Header.Get("Content-Encoding"); c != "" && c != "identity" {
			return fmt.Errorf("%w: it is sent in the encoding %q", ErrNoRanges, c)
		}
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		if size, err := sizeOf(answer); err == nil && size == 0 {
			return nil
		}
		return fmt.Errorf("%w: it is shorter", ErrReplaced)
	case http.StatusOK:
		if answer.ContentLength == 0 { // of nothing there is no part
			return nil
		}
		return ErrNoRanges
	case http.StatusPreconditionFailed:
		return ErrReplaced
	}
	err := &StatusError{Status: fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)), Code: codeIn(answer.Body), status: answer.StatusCode}
	switch {
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusRequestTimeout:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return &passingError{err, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
	}
	return err
}

// codeIn returns the code in the XML that object stores answer errors with.
func codeIn(r io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(r, 4096))
	_, rest, _ := strings.Cut(string(text), "<Code>")
	code, _, found := strings.Cut(rest, "</Code>")
	if !found || len(code) > 64 || strings.ContainsFunc(code, func(r rune) bool { return r > 'z' || r < 'A' }) {
		return ""
	}
	return code
}
