package httprange

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// A pin is what an object is known by, so that it is not mixed with another (RFC 9110,
// section 8.8, "Validator Fields").
type pin struct {
	etag     string
	modified string
}

func pinOf(answer *http.Response) pin {
	return pin{etag: answer.Header.Get("ETag"), modified: answer.Header.Get("Last-Modified")}
}

// set makes a request fail if the object is another. A weak ETag does not say that the
// bytes are the same, and servers must not take it for that.
func (p pin) set(h http.Header) {
	switch {
	case p.etag != "" && !strings.HasPrefix(p.etag, "W/"):
		h.Set("If-Match", p.etag)
	case p.modified != "":
		h.Set("If-Unmodified-Since", p.modified)
	}
}

// check checks that an answer has the object's bytes from start on: servers that know no
// conditions, or no ETag, still tell the size.
func (r *Reader) check(answer *http.Response, start int64) error {
	from, size, err := contentRange(answer)
	switch now := pinOf(answer); {
	case err != nil:
		return err
	case now.etag != r.pin.etag, now.etag == "" && now.modified != r.pin.modified, size != r.size:
		return ErrReplaced
	case from != start:
		return fmt.Errorf("%w: asked for offset %d, it sends that from %d on", ErrNoRanges, start, from)
	}
	return nil
}

// sizeOf returns the size of the object that an answer has the beginning of.
func sizeOf(answer *http.Response) (int64, error) {
	if answer.StatusCode == http.StatusOK {
		return 0, nil // the only whole answer that is taken
	}
	from, size, err := contentRange(answer)
	if err == nil && from != 0 {
		err = fmt.Errorf("%w: asked for its beginning, it sends that from %d on", ErrNoRanges, from)
	}
	return size, err
}

var errContentRange = errors.New("it does not say which part it sends")

// contentRange returns the offset of what an answer holds, and the size of the object.
func contentRange(answer *http.Response) (from, size int64, err error) {
	value, ok := strings.CutPrefix(answer.Header.Get("Content-Range"), "bytes ")
	part, whole, ok2 := strings.Cut(value, "/")
	size, err = strconv.ParseInt(whole, 10, 64)
	if !ok || !ok2 || err != nil || size < 0 {
		return 0, 0, fmt.Errorf("%w: %w", ErrNoRanges, errContentRange)
	}
	if part == "*" {
		return 0, size, nil
	}
	first, _, _ := strings.Cut(part, "-")
	if from, err = strconv.ParseInt(first, 10, 64); err != nil || from < 0 {
		return 0, 0, fmt.Errorf("%w: %w", ErrNoRanges, errContentRange)
	}
	return from, size, nil
}
