package httprange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func noise(size int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{3})
	rng.Read(b)
	return b
}

// serve serves an object as a bucket does, with what handlers do before; one of them that
// answers returns true.
func serve(t *testing.T, object []byte, before ...func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, do := range before {
			if do(w, r) {
				return
			}
		}
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/bucket/node.lime?X-Signature=secret"
}

const block = 4096

func open(t *testing.T, url string, opts *Options) *Reader {
	t.Helper()
	if opts == nil {
		opts = &Options{BlockSize: block}
	}
	r, err := Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// checkAt compares what is read at an offset.
func checkAt(t *testing.T, r io.ReaderAt, object []byte, off, n int) {
	t.Helper()
	b := make([]byte, n)
	got, err := r.ReadAt(b, int64(off))
	want := object[min(off, len(object)):min(off+n, len(object))]
	if !bytes.Equal(b[:got], want) || (err != nil) != (len(want) < n) || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes at %d: %d, %v", n, off, got, err)
	}
}

// Whatever is read, by however many, is what the object has.
func TestReadAt(t *testing.T) {
	t.Parallel()
	object := noise(1<<20 + 77)
	for _, opts := range []Options{{BlockSize: block}, {BlockSize: 1000, ReadAhead: 3, CacheBytes: 10_000}, {}} {
		r := open(t, serve(t, object), &opts)
		if r.Size() != int64(len(object)) {
			t.Errorf("size %d, want %d", r.Size(), len(object))
		}
		var wg sync.WaitGroup
		for seed := range uint64(8) {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, seed))
				for range 50 {
					checkAt(t, r, object, rng.IntN(len(object)+100), 1+rng.IntN(3*block))
				}
			})
		}
		wg.Wait()
		checkAt(t, r, object, 0, len(object)+1)
		if n, err := r.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("negative offset: %d, %v", n, err)
		}
	}
}

// TestRequests counts requests: who reads on gets more at once, missing blocks come
// together, and what was read is not requested again.
func TestRequests(t *testing.T) {
	t.Parallel()
	object := noise(64 * block)
	for name, test := range map[string]struct {
		reads           [][2]int // first block and how many
		requests, bytes int64
	}{
		"open":                {nil, 1, block},
		"again":               {[][2]int{{0, 1}, {0, 1}}, 1, block},
		"here and there":      {[][2]int{{10, 1}, {20, 1}, {30, 1}}, 4, 4 * block},
		"much at once":        {[][2]int{{10, 20}}, 2, 21 * block},
		"on and on":           {[][2]int{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}}, 3, 7 * block},
		"all, block by block": {steps(64), 1 + 3 + 7, 64 * block}, // 1; 2, 4, 8; 8, 8, ... and the rest
		"two in turns":        {[][2]int{{10, 1}, {30, 1}, {11, 1}, {31, 1}, {13, 1}, {33, 1}}, 7, (1 + 2*(1+2+4)) * block},
	} {
		r := open(t, serve(t, object), nil)
		for _, read := range test.reads {
			checkAt(t, r, object, read[0]*block, read[1]*block)
		}
		if requests, n := r.Traffic(); requests != test.requests || n != test.bytes {
			t.Errorf("%s: %d requests, %d bytes; want %d, %d", name, requests, n, test.requests, test.bytes)
		}
	}
}

func steps(n int) [][2]int {
	var reads [][2]int
	for i := range n {
		reads = append(reads, [2]int{i, 1})
	}
	return reads
}

// What fails and may pass is asked for again, from where it broke off.
func TestRetry(t *testing.T) {
	t.Parallel()
	object := noise(32 * block)
	var count atomic.Int64
	trouble := func(w http.ResponseWriter, r *http.Request) bool {
		switch count.Add(1) % 4 {
		case 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		case 3: // half of it
			var start, end int
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &end); err != nil {
				t.Error(err)
			}
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end, len(object)))
			w.Header().Set("Content-Length", fmt.Sprint(end-start+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(object[start : start+(end-start)/2]) // the client may have gone
		default:
			return false
		}
		return true
	}
	r := open(t, serve(t, object, trouble), nil)
	checkAt(t, r, object, 5*block, 6*block)
	if _, n := r.Traffic(); n > 8*block {
		t.Errorf("%d bytes came: what had come was requested again", n)
	}
	down := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	if _, err := Open(t.Context(), serve(t, object, down), &Options{Retries: 1}); err == nil || !strings.Contains(err.Error(), "tried 2 times: the server says 502 Bad Gateway") {
		t.Errorf("server that is down: %v", err)
	}
}

// An object that is replaced is an error, also on servers that know no conditions.
func TestReplaced(t *testing.T) {
	t.Parallel()
	object := noise(32 * block)
	for name, change := range map[string]func(w http.ResponseWriter, r *http.Request){
		"condition": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPreconditionFailed) },
		"other ETag": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			w.Header().Set("ETag", `"2"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
		},
		"other size": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object[:20*block]))
		},
		"shorter": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object[:2*block]))
		},
	} {
		var changed atomic.Bool
		r := open(t, serve(t, object, func(w http.ResponseWriter, r *http.Request) bool {
			if changed.Load() {
				change(w, r)
			}
			return changed.Load()
		}), nil)
		checkAt(t, r, object, 3*block, block)
		changed.Store(true)
		if n, err := r.ReadAt(make([]byte, 8), 9*block); n != 0 || !errors.Is(err, ErrReplaced) {
			t.Errorf("%s: %d, %v, want %v", name, n, err, ErrReplaced)
		}
		checkAt(t, r, object, 3*block, block) // what was read is still there
	}
}

// The condition is sent: a server that knows it never sends bytes of another object.
func TestCondition(t *testing.T) {
	t.Parallel()
	var conditions []string
	var mu sync.Mutex
	r := open(t, serve(t, noise(9*block), func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		conditions = append(conditions, r.Header.Get("If-Match"))
		return false
	}), nil)
	if _, err := r.ReadAt(make([]byte, 1), 5*block); err != nil {
		t.Error(err)
	}
	if len(conditions) != 2 || conditions[0] != "" || conditions[1] != `"1"` {
		t.Errorf("conditions %q", conditions)
	}
}

func TestNoRanges(t *testing.T) {
	t.Parallel()
	object := noise(9 * block)
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"whole": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write(object); return true },
		"encoded": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Encoding", "br")
			return false
		},
		"no part": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusPartialContent)
			return true
		},
		"other part": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", "bytes 5-9/100")
			w.WriteHeader(http.StatusPartialContent)
			return true
		},
	} {
		if r, err := Open(t.Context(), serve(t, object, answer), nil); !errors.Is(err, ErrNoRanges) || r != nil {
			t.Errorf("%s: %v, %v, want %v", name, r, err, ErrNoRanges)
		}
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	r := open(t, serve(t, nil), nil)
	if n, err := r.ReadAt(make([]byte, 1), 0); r.Size() != 0 || n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("size %d; %d, %v", r.Size(), n, err)
	}
}

// Where a redirection led is asked directly, until it is no more.
func TestRedirect(t *testing.T) {
	t.Parallel()
	object := noise(32 * block)
	var gone atomic.Bool
	target := serve(t, object, func(w http.ResponseWriter, r *http.Request) bool {
		if old := r.URL.Query().Get("v") == "1"; !old || !gone.Load() {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	r := open(t, serve(t, nil, func(w http.ResponseWriter, r *http.Request) bool {
		v := "&v=1"
		if gone.Load() {
			v = "&v=2"
		}
		http.Redirect(w, r, target+v, http.StatusFound)
		return true
	}), nil)
	for i, want := range []int64{2, 3, 4, 7} {
		gone.Store(i == 3)
		checkAt(t, r, object, 10*i*block, 1)
		if i == 0 {
			continue
		}
		if requests, _ := r.Traffic(); requests != want {
			t.Errorf("step %d: %d requests, want %d", i, requests, want)
		}
	}
}

// A server that hangs does not keep who waits for longer than the context.
func TestCancel(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var hang atomic.Bool
	url := serve(t, noise(9*block), func(_ http.ResponseWriter, r *http.Request) bool {
		if hang.Load() {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		return false
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Open(ctx, url, &Options{BlockSize: block})
	if err != nil {
		t.Fatal(err)
	}
	hang.Store(true)
	time.AfterFunc(20*time.Millisecond, cancel)
	if n, err := r.ReadAt(make([]byte, 1), 5*block); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v, want %v", n, err, context.Canceled)
	}
}

// Errors say what the server says, and not what is secret in the URL.
func TestErrors(t *testing.T) {
	t.Parallel()
	url := serve(t, nil, func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>Expired X-Signature=secret</Message></Error>`)
		return true
	})
	_, err := Open(t.Context(), url, nil)
	if s, ok := errors.AsType[*StatusError](err); !ok || !strings.HasSuffix(err.Error(), "/bucket/node.lime: the server says 403 Forbidden (ExpiredToken)") {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{"http://127.0.0.1:1/x?s=secret", "http://%zz?s=secret", "gopher://host/?s=secret", "https://user:secret@127.0.0.1:1/"} {
		_, err := Open(t.Context(), bad, &Options{Retries: -1})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestMaxBytes(t *testing.T) {
	t.Parallel()
	object := noise(32 * block)
	r := open(t, serve(t, object), &Options{BlockSize: block, MaxBytes: 3 * block})
	checkAt(t, r, object, 5*block, block)
	checkAt(t, r, object, 9*block, block)
	if n, err := r.ReadAt(make([]byte, 1), 20*block); n != 0 || !errors.Is(err, ErrLimit) {
		t.Errorf("%d, %v, want %v", n, err, ErrLimit)
	}
	checkAt(t, r, object, 9*block, block)
}

// TestWhy: the error of a request that fails is its own, and not that it was ended.
func TestWhy(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, err := Open(t.Context(), s.URL, &Options{Retries: -1}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("no server: %v", err)
	}
	plain := httptest.NewTLSServer(http.RedirectHandler(s.URL, http.StatusFound))
	defer plain.Close()
	if _, err := Open(t.Context(), plain.URL, &Options{Client: plain.Client(), Retries: -1}); !errors.Is(err, ErrDowngrade) {
		t.Errorf("redirected: %v", err)
	}
}
