package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A ranged file is one on a server, read by ranges. It is for a few small reads.
type ranged struct {
	ctx    context.Context //nolint:containedctx // of the search that it is used in
	client *Client
	url    string
	size   int64
	etag   string
}

// errNoRanges: the server sends whole files only.
var errNoRanges = errors.New("the server gives no ranges of files")

// openRanged finds out how large a file is.
func (c *Client) openRanged(ctx context.Context, url string) (*ranged, error) {
	resp, err := c.do(ctx, url, map[string]string{"Range": "bytes=0-0"}, http.StatusPartialContent, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	r := &ranged{ctx: ctx, client: c, url: url, etag: resp.Header.Get("ETag")}
	if resp.StatusCode != http.StatusPartialContent || resp.Header.Get("Content-Encoding") != "" {
		return nil, errNoRanges
	}
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if r.size, err = strconv.ParseInt(total, 10, 64); err != nil || r.size < 0 {
		return nil, errNoRanges
	}
	return r, nil
}

// ReadAt implements [io.ReaderAt]: one request a call.
func (r *ranged) ReadAt(b []byte, off int64) (int, error) {
	want := b[:min(int64(len(b)), max(0, r.size-off))]
	if len(want) == 0 {
		return 0, io.EOF
	}
	header := map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", off, off+int64(len(want))-1)}
	if strong(r.etag) {
		header["If-Match"] = r.etag
	}
	resp, err := r.client.do(r.ctx, r.url, header, http.StatusPartialContent)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", off)) {
		return 0, errNoRanges
	}
	n, err := io.ReadFull(resp.Body, want)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// strong reports whether an ETag stands for the very bytes of a file (RFC 9110, "Weak
// versus Strong").
func strong(etag string) bool { return strings.HasPrefix(etag, `"`) }
