package remote

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/symbols"
)

const build = "18244.291.9"

func asNotFound(err error, e **symbols.NotFoundError) (ok bool) {
	*e, ok = errors.AsType[*symbols.NotFoundError](err)
	return ok
}

// bucket is the source at a server.
func (s *server) bucket(t testing.TB) *COS {
	return &COS{Build: build, Buckets: []string{s.URL + "/cos-tools"}, Client: client(t)}
}

func TestCOS(t *testing.T) {
	right := symboltest.Running.Vmlinux()
	for name, files := range map[string]map[string][]byte{
		"flat":     {path(build, "vmlinux"): right},
		"with MD5": {path(build, "vmlinux"): right, path(build, "vmlinux.md5"): []byte(sum(right))},
		"md5sum":   {path(build, "vmlinux"): right, path(build, "vmlinux.md5"): []byte(strings.ToUpper(sum(right)) + "  vmlinux\n")},
		"by board": {path(build, "lakitu/vmlinux"): right},
		"odd MD5":  {path(build, "vmlinux"): right, path(build, "vmlinux.md5"): []byte("<html>")},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := newServer(t, files), symbols.NewStore(t.TempDir())
			found, err := find(t.Context(), t, symboltest.Running, s.bucket(t), store)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(found.From, "vmlinux "+s.URL+"/cos-tools/"+build+"/") || found.File.Banner() != symboltest.Running.Banner()+"\n" || found.KeepErr != nil {
				t.Errorf("%+v", found)
			}
			s.asked()
			again, err := find(t.Context(), t, symboltest.Running, s.bucket(t), store)
			if err != nil || !strings.HasPrefix(again.From, "store "+store.Dir()) || len(s.asked()) > 0 {
				t.Errorf("the second time: %+v, %v", again, err)
			}
		})
	}
}

// TestCOSPlaces: each bucket is asked for both paths, until one has the file; and the
// build is taken from memory where none is given.
func TestCOSPlaces(t *testing.T) {
	s := newServer(t, map[string][]byte{"/asia/" + build + "/lakitu/vmlinux": symboltest.Running.Vmlinux()})
	source := s.bucket(t)
	source.Build = ""
	source.Buckets = []string{s.URL + "/us", s.URL + "/eu", s.URL + "/asia"}
	mem := symboltest.Running.Memory()
	mem.Write(0x9000, []byte("NAME=\"Container-Optimized OS\"\nID=cos\nBUILD_ID="+build+"\n\x00"))
	n := 0
	for c, err := range source.Find(t.Context(), symbols.Identify(mem, nil)) {
		if n++; err != nil || c.Name != s.URL+"/asia/"+build+"/lakitu/vmlinux" {
			t.Errorf("%+v, %v", c, err)
		}
	}
	var paths []string
	for _, l := range s.asked() {
		paths = append(paths, strings.Fields(l)[0])
	}
	want := []string{
		"/us/18244.291.9/vmlinux", "/us/18244.291.9/lakitu/vmlinux", "/eu/18244.291.9/vmlinux", "/eu/18244.291.9/lakitu/vmlinux",
		"/asia/18244.291.9/vmlinux", "/asia/18244.291.9/lakitu/vmlinux", "/asia/18244.291.9/lakitu/vmlinux.md5",
	}
	if paths = slices.Compact(paths); n != 1 || !slices.Equal(paths, want) {
		t.Errorf("%d found, asked for %q", n, paths)
	}
}

// TestCOSNextPlace: a bucket that fails, or has a file of another kernel or a damaged one at
// the first path, does not keep the right one from being found elsewhere; and a bucket
// that failed is not taken for one that has nothing.
func TestCOSNextPlace(t *testing.T) {
	right, wrong := symboltest.Running.Vmlinux(), symboltest.Older.Vmlinux()
	flat, board := build+"/vmlinux", build+"/lakitu/vmlinux"
	for name, files := range map[string]map[string][]byte{
		"server fails":   {"/eu/" + flat: right},
		"another kernel": {"/us/" + flat: wrong, "/us/" + board: right},
		"in the next":    {"/us/" + flat: wrong, "/eu/" + board: right},
		"damaged":        {"/us/" + flat: right, "/us/" + flat + ".md5": []byte(sum(wrong)), "/eu/" + flat: right},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, files)
			s.serve = func(w http.ResponseWriter, r *http.Request) bool {
				if fails := name == "server fails" && strings.HasPrefix(r.URL.Path, "/us/"); fails {
					w.WriteHeader(http.StatusBadRequest)
					return true
				}
				return false
			}
			source := s.bucket(t)
			source.Buckets = []string{s.URL + "/us", s.URL + "/eu"}
			source.Client.Store = symbols.NewStore(t.TempDir())
			found, err := find(t.Context(), t, symboltest.Running, source, nil)
			if err != nil || found.File.Banner() != symboltest.Running.Banner()+"\n" || len(found.Tried) < 2 {
				t.Fatalf("%+v, %v", found, err)
			}
			if source.Client.absent(source.Buckets[0], build) {
				t.Error("the first bucket is remembered to have nothing")
			}
		})
	}
}

func TestCOSNothing(t *testing.T) {
	s, store := newServer(t, nil), symbols.NewStore(t.TempDir())
	source := s.bucket(t)
	source.Client.Store = store
	for i := range 2 {
		_, err := find(t.Context(), t, symboltest.Running, source, nil)
		if err := lastErr(t, err); !errors.Is(err, symbols.ErrNothing) || !strings.Contains(err.Error(), "build 18244.291.9 has no vmlinux in 2 places") {
			t.Errorf("%v", err)
		}
		if n := len(s.asked()); n != 2-2*i {
			t.Errorf("asked %d times", n)
		}
	}
	source.Build = "" // and none in memory
	if _, err := find(t.Context(), t, symboltest.Running, source, nil); !errors.Is(err, symbols.ErrNothing) || len(s.asked()) > 0 {
		t.Errorf("%v", err)
	}
}

// TestCOSWrong: a file of another kernel is refused before it travels.
func TestCOSWrong(t *testing.T) {
	for name, wrong := range map[string]symboltest.Kernel{"another release": symboltest.Older, "another build": symboltest.Rebuilt} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, map[string][]byte{path(build, "vmlinux"): large(t, wrong, 20<<20)})
			_, err := find(t.Context(), t, symboltest.Running, s.bucket(t), nil)
			if err := lastErr(t, err); !errors.Is(err, symbols.ErrMismatch) || !strings.Contains(err.Error(), wrong.Release) {
				t.Errorf("%v", err)
			}
			if whole, parts := ranges(s.asked()); whole > 0 || parts > 10 || s.sent > 64<<10 {
				t.Errorf("%d requests of the whole and %d of parts, %d bytes", whole, parts, s.sent)
			}
		})
	}
}

// TestCOSWithoutRanges: where the server sends whole files only, the whole file is held
// against the image.
func TestCOSWithoutRanges(t *testing.T) {
	for _, k := range []symboltest.Kernel{symboltest.Running, symboltest.Rebuilt} {
		s := newServer(t, nil)
		b := k.Vmlinux()
		s.serve = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/vmlinux") {
				_, _ = w.Write(b)
				return true
			}
			return false
		}
		_, err := find(t.Context(), t, symboltest.Running, s.bucket(t), nil)
		if fits := k == symboltest.Running; (err == nil) != fits || !fits && !errors.Is(err, symbols.ErrMismatch) {
			t.Errorf("%s: %v", k.Build, err)
		}
	}
}

// TestCOSGzip: a bucket may keep files compressed, and say so or not.
func TestCOSGzip(t *testing.T) {
	right := symboltest.Running.Vmlinux()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(right); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"", "gzip"} {
		s := newServer(t, map[string][]byte{path(build, "vmlinux"): packed.Bytes(), path(build, "vmlinux.md5"): []byte(sum(packed.Bytes()))})
		if encoding != "" {
			s.files[path(build, "vmlinux.md5")] = []byte(sum(right))
			s.serve = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/vmlinux") {
					w.Header().Set("Content-Encoding", encoding)
				}
				return false
			}
		}
		if found, err := find(t.Context(), t, symboltest.Running, s.bucket(t), nil); err != nil || found.File.Banner() != symboltest.Running.Banner()+"\n" {
			t.Errorf("encoding %q: %+v, %v", encoding, found, err)
		}
	}
}

// TestCOSCorrupt: a byte that changed on the way is found by the MD5.
func TestCOSCorrupt(t *testing.T) {
	right := symboltest.Running.Vmlinux()
	corrupt := bytes.Clone(right)
	corrupt[len(corrupt)/2] ^= 1
	s := newServer(t, map[string][]byte{path(build, "vmlinux"): corrupt, path(build, "vmlinux.md5"): []byte(sum(right))})
	_, err := find(t.Context(), t, symboltest.Running, s.bucket(t), nil)
	if err := lastErr(t, err); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), sum(right)) {
		t.Errorf("%v", err)
	}
}

// TestCOSRedirect: a redirect is followed, but from https to http.
func TestCOSRedirect(t *testing.T) {
	s := newServer(t, map[string][]byte{path(build, "vmlinux"): symboltest.Running.Vmlinux()})
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.URL+r.URL.Path, http.StatusFound)
	})
	plain, safe := httptest.NewServer(redirect), httptest.NewTLSServer(redirect)
	defer plain.Close()
	defer safe.Close()

	source := &COS{Build: build, Buckets: []string{plain.URL + "/cos-tools"}, Client: client(t)}
	if _, err := find(t.Context(), t, symboltest.Running, source, nil); err != nil {
		t.Error(err)
	}
	source.Buckets[0] = safe.URL + "/cos-tools"
	source.Client.HTTP = safe.Client()
	source.Client.HTTP.CheckRedirect = noDowngrade
	_, err := find(t.Context(), t, symboltest.Running, source, nil)
	if err := lastErr(t, err); !errors.Is(err, ErrDowngrade) {
		t.Errorf("%v", err)
	}
}

// cut answers the first requests for the whole of a file, and for its rest, with a part of
// what they ask for.
func (s *server) cut(times, n int) {
	s.serve = func(w http.ResponseWriter, r *http.Request) bool {
		rest := r.Header.Get("If-Range") != ""
		if !strings.HasSuffix(r.URL.Path, "/vmlinux") || r.Header.Get("Range") != "" && !rest || times == 0 {
			return false
		}
		times--
		w.Header().Set("ETag", etag(s.files[r.URL.Path]))
		http.ServeContent(&cutter{w, n}, r, "", time.Time{}, bytes.NewReader(s.files[r.URL.Path]))
		panic(http.ErrAbortHandler)
	}
}

// A cutter drops all but the first bytes.
type cutter struct {
	http.ResponseWriter

	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if _, err := c.ResponseWriter.Write(b[:n]); err != nil {
		return 0, err
	}
	if f, ok := c.ResponseWriter.(*counter); ok && c.left == 0 {
		_ = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return len(b), nil
}

// TestTruncated: what breaks off is taken up where it was; what breaks off time and again
// at one place is given up, and what has changed since begins anew.
func TestTruncated(t *testing.T) {
	t.Parallel()
	b := symboltest.Running.Vmlinux()
	const name = "/vmlinux"
	s := newServer(t, map[string][]byte{name: b})
	s.cut(2, 5000)
	if got, err := s.fetch(t, name); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if log := s.asked(); !slices.Equal(log, []string{name, name + " bytes=5000-", name + " bytes=10000-"}) {
		t.Errorf("asked %q", log)
	}

	s.cut(100, 0)
	if got, err := s.fetch(t, name); err == nil || len(got) > 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := len(s.asked()); n != maxTries {
		t.Errorf("asked %d times", n)
	}

	s.cut(1, 5000)
	changed := false
	cut := s.serve
	s.serve = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-Range") != "" && !changed {
			changed = true
			s.files[name] = symboltest.Older.Vmlinux()
		}
		return cut(w, r)
	}
	if got, err := s.fetch(t, name); err != nil || !bytes.Equal(got, symboltest.Older.Vmlinux()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestBreaksOffAnywhere: a server that knows no ETag, and breaks off now sooner and now
// later, is given up; one whose part is less than the rest of a file is asked for more.
func TestBreaksOffAnywhere(t *testing.T) {
	t.Parallel()
	b := symboltest.Running.Vmlinux()
	s := newServer(t, nil)
	var requests atomic.Int64
	s.serve = func(w http.ResponseWriter, _ *http.Request) bool {
		n := requests.Add(1)
		if n > 20 {
			_, _ = w.Write(b)
			return true
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b[:1000+n%2*1000])
		panic(http.ErrAbortHandler)
	}
	if got, err := s.fetch(t, "/vmlinux"); err == nil {
		t.Errorf("%d bytes after %d requests", len(got), requests.Load())
	}
	s = newServer(t, nil)
	s.serve = func(w http.ResponseWriter, r *http.Request) bool {
		from, to := 0, 3000
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			to = min(from+3000, len(b))
		}
		w.Header().Set("ETag", etag(b))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(b)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(b[from:to])
		return true
	}
	if got, err := s.fetch(t, "/vmlinux"); err == nil && !bytes.Equal(got, b) {
		t.Errorf("%d bytes of %d, and no error", len(got), len(b))
	}
}

// fetch fetches a file.
func (s *server) fetch(t testing.TB, name string) ([]byte, error) {
	d, err := client(t).get().fetch(t.Context(), s.URL+name, nobody)
	if err != nil {
		return nil, err
	}
	defer d.discard()
	b := make([]byte, d.done)
	_, err = d.file.ReadAt(b, 0)
	return b, err
}

// TestLimits: a file that is too large is not fetched, whether the server says so or not.
func TestLimits(t *testing.T) {
	s := newServer(t, map[string][]byte{"/vmlinux": make([]byte, 1000)})
	c := client(t)
	c.MaxSize = 999
	for _, announce := range []bool{true, false} {
		s.serve = func(w http.ResponseWriter, _ *http.Request) bool {
			if announce {
				return false
			}
			_ = http.NewResponseController(w.(*counter).ResponseWriter).Flush()
			_, _ = w.Write(make([]byte, 1000))
			return true
		}
		if _, err := c.get().fetch(t.Context(), s.URL+"/vmlinux", nobody); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v", err)
		}
	}
}

// TestStatus: what a server can't do just now is tried again; what it does not have is not.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t, map[string][]byte{"/vmlinux": []byte("content")})
	for code, want := range map[int]int{http.StatusServiceUnavailable: 2, http.StatusTooManyRequests: 2, http.StatusNotFound: 1, http.StatusBadRequest: 1} {
		first := true
		s.serve = func(w http.ResponseWriter, _ *http.Request) bool {
			if first {
				first = false
				w.WriteHeader(code)
				return true
			}
			return false
		}
		_, err := s.fetch(t, "/vmlinux")
		if e, ok := errors.AsType[*StatusError](err); (err == nil) != (want == 2) || ok && e.Code != code {
			t.Errorf("%d: %v", code, err)
		}
		if n := len(s.asked()); n != want {
			t.Errorf("%d: asked %d times", code, n)
		}
	}
}
