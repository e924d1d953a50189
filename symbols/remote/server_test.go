package remote

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // as servers publish it
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/vmlinux"
)

// A server stands in for a bucket or a debuginfod server: it has files by their paths,
// answers ranges, and writes down what it was asked.
type server struct {
	*httptest.Server

	files map[string][]byte
	// serve, if not nil, answers in place of the files; it returns false to leave it to them.
	serve func(w http.ResponseWriter, r *http.Request) bool

	mu   sync.Mutex // guards what follows
	log  []string   // "PATH" or "PATH RANGE"
	sent int64      // bytes of files
}

func newServer(t testing.TB, files map[string][]byte) *server {
	t.Helper()
	s := &server{files: files}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.log = append(s.log, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	s.mu.Unlock()
	c := &counter{ResponseWriter: w, s: s}
	if s.serve != nil && s.serve(c, r) {
		return
	}
	b, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", etag(b))
	http.ServeContent(c, r, "", time.Time{}, bytes.NewReader(b))
}

// asked returns what the server was asked since it was asked last.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// A counter counts what is sent.
type counter struct {
	http.ResponseWriter

	s *server
}

func (c *counter) Write(b []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent += int64(len(b))
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

func sum(b []byte) string {
	m := md5.Sum(b) //nolint:gosec // as above
	return hex.EncodeToString(m[:])
}

func etag(b []byte) string { return `"` + sum(b) + `"` }

// client is one without much patience, whose temporary files must be gone at the end.
func client(t testing.TB) *Client {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return &Client{TempDir: dir, Patience: 10 * time.Second, pause: 10 * time.Millisecond}
}

// nobody is a kernel that tells nobody of progress.
var nobody = symbols.Identify(symboltest.Running.Memory(), nil)

var converters = []symbols.Converter{vmlinux.Converter}

// find finds the symbols of a kernel at one source.
func find(ctx context.Context, t testing.TB, k symboltest.Kernel, source symbols.Source, store *symbols.Store) (*symbols.Found, error) {
	t.Helper()
	return symbols.Find(ctx, k.Memory(), &symbols.Options{
		Fetch: []symbols.Source{source}, Store: store,
		Converters: converters, TempDir: t.TempDir(),
	})
}

// lastErr returns why the source was of no use.
func lastErr(t testing.TB, err error) error {
	t.Helper()
	for _, a := range tried(t, err) {
		err = a.Err
	}
	return err
}

func tried(t testing.TB, err error) []symbols.Attempt {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	var e *symbols.NotFoundError
	if !asNotFound(err, &e) {
		t.Fatal(err)
	}
	return e.Tried
}

func ranges(log []string) (whole, parts int) {
	for _, l := range log {
		if strings.Contains(l, "bytes=") {
			parts++
		} else {
			whole++
		}
	}
	return whole, parts
}

// large returns a vmlinux with so many bytes of nothing behind it.
func large(t testing.TB, k symboltest.Kernel, n int) []byte {
	t.Helper()
	b := append(k.Vmlinux(), make([]byte, n)...)
	for i := range n {
		b[len(b)-1-i] = byte(i * i >> 7)
	}
	return b
}

func path(build, rest string) string { return fmt.Sprintf("/cos-tools/%s/%s", build, rest) }
