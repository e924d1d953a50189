package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/capture"
)

const (
	// partSize is how much is sent, and kept in memory, at a time: a multiple of 256 KiB,
	// as the protocol demands.
	partSize = 16 << 20
	// maxTries is how often a part is sent before the upload is given up.
	maxTries = 8
)

// pause returns how long to wait before the try of that number, from 1 on. Tests shorten
// it.
var pause = func(try int) time.Duration { return time.Second << min(try, 5) }

// captureResumable captures to the session of a resumable upload (Google Cloud Storage,
// "Resumable uploads"): parts are PUT one after the other, and a part that the server did
// not get whole is sent again from where it says.
func captureResumable(ctx context.Context, session string, opts *capture.Options) (*capture.Manifest, error) {
	u := &upload{ctx: ctx, session: session}
	m, err := capture.Run(ctx, u, opts)
	if err != nil {
		return m, err // the session stays open, and nothing is stored
	}
	return m, u.close()
}

// An upload is a resumable upload in progress.
type upload struct {
	ctx     context.Context //nolint:containedctx // of one capture, which is over when the upload is
	session string
	part    bytes.Buffer // what is not known to be stored
	start   int64        // its offset in the image
}

func (u *upload) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		// The last part must not be empty, so a full one is sent when more comes.
		if u.part.Len() == partSize {
			if err := u.send(false); err != nil {
				return n - len(b), err
			}
			continue
		}
		m := min(len(b), partSize-u.part.Len())
		u.part.Write(b[:m])
		b = b[m:]
	}
	return n, nil
}

func (u *upload) close() error {
	for u.part.Len() > 0 {
		if err := u.send(true); err != nil {
			return err
		}
	}
	return nil
}

// send sends the part until the server has some of it.
func (u *upload) send(last bool) error {
	for try := 1; ; try++ {
		stored, err := u.put(last)
		switch {
		case err == nil && stored > u.start:
			u.part.Next(int(stored - u.start))
			u.start = stored
			return nil
		case try == maxTries || u.ctx.Err() != nil || err != nil && !worthRetrying(err):
			return cmp.Or(u.ctx.Err(), err, errors.New("the server stores nothing of what it gets"))
		}
		select {
		case <-time.After(pause(try)):
		case <-u.ctx.Done():
		}
	}
}

// put sends what the buffer holds, and returns how many bytes of the image are stored.
func (u *upload) put(last bool) (int64, error) {
	req, err := newPut(u.ctx, u.session, bytes.NewReader(u.part.Bytes()))
	if err != nil {
		return 0, err
	}
	end, total := u.start+int64(u.part.Len()), "*"
	if last {
		total = strconv.FormatInt(end, 10)
	}
	req.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%s", u.start, end-1, total))
	stored, err := u.ask(req, end)
	if _, refused := errors.AsType[*httpError](err); err == nil || refused && !worthRetrying(err) {
		return stored, err
	}
	// The server may have some of it, or all.
	status, statusErr := newPut(u.ctx, u.session, http.NoBody)
	if statusErr != nil {
		return 0, statusErr
	}
	status.Header.Set("Content-Range", "bytes */"+total)
	if stored, statusErr = u.ask(status, end); statusErr != nil {
		return 0, err
	}
	return stored, nil
}

// ask sends a request, and returns how many bytes of the image the answer says are stored;
// end is all.
func (u *upload) ask(req *http.Request, end int64) (int64, error) {
	resp, err := roundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated:
		return end, nil
	case http.StatusPermanentRedirect: // "308 Resume Incomplete"
	default:
		return 0, newHTTPError(resp)
	}
	value := resp.Header.Get("Range")
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(value, "bytes=0-"), 10, 64)
	if err != nil || n >= end {
		return 0, fmt.Errorf("the server says it has %q of %d bytes", value, end)
	}
	return n + 1, nil
}
