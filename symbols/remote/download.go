package remote

import (
	"context"
	"crypto/md5" //nolint:gosec // what servers publish; against damage
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/internal/unpack"
	"github.com/nodelens/nodelens/symbols"
)

// A download is a file that is being fetched into a temporary one.
type download struct {
	client  *Client
	url     string
	file    *os.File
	done    int64
	total   int64 // -1: not known
	etag    string
	encoded bool            // the bytes are those of a Content-Encoding
	kernel  *symbols.Kernel // told of the progress
	stage   string
}

// maxTries is how often a transfer is taken up that gets nowhere.
const maxTries = 3

// fetch fetches a file into a temporary one, which the caller must discard.
func (c *Client) fetch(ctx context.Context, url string, k *symbols.Kernel) (*download, error) {
	f, err := os.CreateTemp(c.TempDir, "nodelens-fetch-")
	if err != nil {
		return nil, err
	}
	d := &download{client: c, url: url, file: f, total: -1, kernel: k, stage: "fetching " + shown(url)}
	if err := d.run(ctx); err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

// discard removes the file.
func (d *download) discard() {
	_ = d.file.Close() // what matters is gone either way
	_ = os.Remove(d.file.Name())
}

// run transfers the file. What breaks off goes on from where it was, as long as each try
// brings something.
func (d *download) run(ctx context.Context) error {
	best := int64(0) // how far any try came: without an ETag each begins anew
	for tries := 0; ; tries++ {
		err := d.transfer(ctx)
		switch {
		case err == nil, ctx.Err() != nil, !passing(err):
			return err
		case d.done > best:
			best, tries = d.done, 0
		case tries+1 >= maxTries, errors.Is(err, ErrStalled):
			return d.brokeOff(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d.client.pause << tries):
		}
	}
}

// brokeOff says how far the transfer came.
func (d *download) brokeOff(err error) error {
	switch {
	case d.done == 0:
		return err
	case d.total < 0:
		return fmt.Errorf("after %d bytes: %w", d.done, err)
	}
	return fmt.Errorf("after %d of %d bytes: %w", d.done, d.total, err)
}

// passing reports whether an error may be gone the next time.
func passing(err error) bool {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Code >= http.StatusInternalServerError || e.Code == http.StatusTooManyRequests
	}
	return !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrDowngrade) && !errors.Is(err, errDisk)
}

// errRange: the server sends a part that was not asked for.
var errRange = errors.New("the server sends another part than asked for")

// errDisk is the reason for what can't be written.
var errDisk = errors.New("can't be written")

// transfer asks for what is missing, and writes it.
func (d *download) transfer(ctx context.Context) error {
	header := map[string]string{}
	if d.done > 0 && strong(d.etag) {
		header["Range"] = fmt.Sprintf("bytes=%d-", d.done)
		header["If-Range"] = d.etag
	}
	resp, err := d.client.do(ctx, d.url, header, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	goesOn := fmt.Sprintf("bytes %d-", d.done)
	if resp.StatusCode == http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Range"), goesOn) {
		if resp.StatusCode == http.StatusPartialContent {
			return errRange
		}
		if err := d.restart(resp); err != nil {
			return err
		}
	}
	if err := d.copy(resp.Body); err != nil {
		return err
	}
	return d.checkEnd(resp)
}

// checkEnd checks that a part was the rest of the file: a server may send less.
func (d *download) checkEnd(resp *http.Response) error {
	_, whole, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if size, err := strconv.ParseInt(whole, 10, 64); err == nil && resp.StatusCode == http.StatusPartialContent && d.done < size {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// strong reports whether an ETag stands for the very bytes of a file (RFC 9110, "Weak
// versus Strong").
func strong(etag string) bool { return strings.HasPrefix(etag, `"`) }

// restart begins from the first byte.
func (d *download) restart(resp *http.Response) error {
	d.done, d.total, d.etag = 0, resp.ContentLength, resp.Header.Get("ETag")
	d.encoded = resp.Header.Get("Content-Encoding") != ""
	if d.total < 0 {
		if n, err := strconv.ParseInt(resp.Header.Get("X-Debuginfod-Size"), 10, 64); err == nil {
			d.total = n // of the unpacked file: for the progress, and no more
		}
	}
	if d.total > d.client.MaxSize {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, d.total)
	}
	if err := d.file.Truncate(0); err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	return nil
}

// copy writes what the server sends behind what is there.
func (d *download) copy(r io.Reader) error {
	b := make([]byte, 256<<10)
	for {
		n, err := r.Read(b)
		if d.done+int64(n) > d.client.MaxSize {
			return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, d.client.MaxSize)
		}
		if _, err := d.file.WriteAt(b[:n], d.done); err != nil {
			return fmt.Errorf("%w: %w", errDisk, err)
		}
		d.done += int64(n)
		d.kernel.Progress(d.stage, d.done, d.total)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// checkMD5 compares the file with the MD5 that the server has beside it, if it has one.
func (d *download) checkMD5(ctx context.Context) error {
	resp, err := d.client.do(ctx, d.url+".md5", nil, http.StatusOK)
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return fmt.Errorf("its .md5: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("its .md5: %w", err)
	}
	want := parseMD5(string(text))
	if want == "" {
		return nil // a page in its place
	}
	got, err := d.sum(ctx)
	switch {
	case err != nil:
		return err
	case got != want:
		return fmt.Errorf("%w: its MD5 is %s, the server says %s", ErrDamaged, got, want)
	}
	return nil
}

// parseMD5 returns the first word of a text if that is an MD5, in lower case.
func parseMD5(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	word = strings.ToLower(word)
	if b, err := hex.DecodeString(word); err != nil || len(b) != md5.Size {
		return ""
	}
	return word
}

// sum returns the MD5 of the file, without the compression for the transfer.
func (d *download) sum(ctx context.Context) (string, error) {
	var r io.Reader = &cancelled{io.NewSectionReader(d.file, 0, math.MaxInt64), ctx}
	if d.encoded {
		z, err := unpack.NewReader(r, "gzip")
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		defer z.Close()
		r = z
	}
	h := md5.New() //nolint:gosec // as above
	if _, err := io.Copy(h, r); ctx.Err() != nil {
		return "", ctx.Err()
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// A cancelled reads until its context ends.
type cancelled struct {
	io.Reader

	ctx context.Context //nolint:containedctx // of the read, which it ends
}

func (c *cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(b)
}
