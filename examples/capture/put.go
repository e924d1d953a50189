package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/internal/text"
)

// maxAnswer is how much of a server's answer to an error is shown.
const maxAnswer = 512

// errShort is what became of a request whose length was said before: some memory could not
// be read.
var errShort = errors.New("some memory is unreadable, so the image is shorter than was said")

// errServer is what a server that does not take the image says.
var errServer = errors.New("the server does not take the image")

// An httpError is an answer that is not what was asked for.
type httpError struct {
	status int
	answer string
}

func (e *httpError) Error() string { return fmt.Sprintf("%v: %d: %s", errServer, e.status, e.answer) }

func (e *httpError) Unwrap() error { return errServer }

// temporary reports whether the same request may succeed later.
func (e *httpError) temporary() bool {
	return e.status >= 500 || e.status == http.StatusRequestTimeout || e.status == http.StatusTooManyRequests
}

// capturePut captures to a PUT request. Its length is said before, where it is known, as
// S3 demands. What was sent can't be sent again, for it is nowhere kept and memory has moved
// on: where the connection breaks or the server has trouble, the whole capture begins anew,
// so many times; after memory that can't be read, in chunks of unknown number.
func capturePut(ctx context.Context, to string, retries int, opts *capture.Options, say func(string)) (*capture.Manifest, error) {
	for sized := true; ; {
		m, err := putOnce(ctx, to, sized, opts)
		sized = sized && !errors.Is(err, errShort)
		if err == nil || retries == 0 || ctx.Err() != nil || !worthRetrying(err) {
			return m, err
		}
		retries--
		say(text.Message(err) + ": capturing anew")
	}
}

// worthRetrying reports whether the network or the server was the trouble, and may not be
// the next time.
func worthRetrying(err error) bool {
	if e, ok := errors.AsType[*httpError](err); ok {
		return e.temporary()
	}
	_, ok := errors.AsType[*url.Error](err)
	return ok || errors.Is(err, errShort)
}

func putOnce(ctx context.Context, to string, sized bool, opts *capture.Options) (*capture.Manifest, error) {
	pr, pw := io.Pipe()
	req, err := newPut(ctx, to, pr)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	sent := make(chan error, 1)
	o := *opts
	o.Planned = func(size int64) {
		if sized {
			req.ContentLength = size // -1 is not known
		}
		go func() {
			err := do(req)
			pr.Close() // ends a capture that goes on
			sent <- err
		}()
	}
	m, err := capture.Run(ctx, pw, &o)
	if m == nil {
		return nil, err // nothing was begun
	}
	if err == nil && req.ContentLength > 0 && m.Image.Bytes != req.ContentLength {
		err = errShort
	}
	pw.CloseWithError(err) // nil ends the body; else the request fails, and no short image is stored
	if sendErr := <-sent; sendErr != nil && (err == nil || errors.Is(err, io.ErrClosedPipe)) {
		return m, sendErr
	}
	return m, err
}

// errURL is all that is said of a URL that is none: the error of parsing it shows it, with a
// signature that may be right.
var errURL = errors.New("the URL can't be read; perhaps there is a space or a line end in it")

// newPut returns a PUT request.
func newPut(ctx context.Context, to string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, body)
	if err != nil {
		return nil, errURL
	}
	return req, nil
}

// do sends a request and returns an error but for the answers 200 to 299.
func do(req *http.Request) error {
	resp, err := roundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return newHTTPError(resp)
}

// roundTrip sends a request. Its error does not show the query of the URL: in a signed URL
// that is the signature, and errors end up in logs.
func roundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultClient.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		e.URL, _, _ = strings.Cut(e.URL, "?")
	}
	return resp, err
}

func newHTTPError(resp *http.Response) error {
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return &httpError{resp.StatusCode, strings.TrimSpace(string(answer))}
}
