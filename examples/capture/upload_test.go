package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A bucket is a server that takes PUT requests of whole objects.
type bucket struct {
	mu     sync.Mutex
	object []byte
	length int64 // that the request said before; -1 is none
	tries  int
	answer func(try int, body io.Reader) int // a status; 0 means to store the body
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	if b.answer != nil {
		if status := b.answer(b.tries, r.Body); status != 0 {
			http.Error(w, "no", status)
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut || r.Header.Get("Content-Type") != "application/octet-stream" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	b.object, b.length = body, r.ContentLength
}

// stored returns what was stored, and how many requests there were.
func (b *bucket) stored() ([]byte, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.object, b.tries
}

func TestHostileAnswer(t *testing.T) {
	root, _ := newRoot(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no\ncaptured \x1b[2K\u202e", http.StatusForbidden)
	}))
	defer server.Close()
	_, msg := runCapture(t, exitFailed, "-root", root, "-url", server.URL, "-manifest", filepath.Join(t.TempDir(), "m"))
	if !strings.HasSuffix(msg, `403: no\ncaptured \x1b[2K\u202e`+"\n") {
		t.Errorf("message %q", msg)
	}
}

func TestPut(t *testing.T) {
	unavailable := func(try int, _ io.Reader) int {
		if try < 3 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	tests := []struct {
		name          string
		answer        func(int, io.Reader) int
		status, tries int
	}{
		{"at once", nil, exitWhole, 1},
		{"unavailable twice", unavailable, exitWhole, 3},
		{"always unavailable", func(int, io.Reader) int { return http.StatusBadGateway }, exitFailed, 3},
		{"signature expired", func(int, io.Reader) int { return http.StatusForbidden }, exitFailed, 1},
		{"connection lost on the way", func(try int, body io.Reader) int {
			if try == 1 {
				_, _ = io.CopyN(io.Discard, body, 0x8000)
				panic(http.ErrAbortHandler)
			}
			return 0
		}, exitWhole, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, ram := newRoot(t)
			b := &bucket{answer: tt.answer}
			s := httptest.NewServer(b)
			defer s.Close()
			manifest := filepath.Join(t.TempDir(), "manifest")
			_, msg := runCapture(t, tt.status, "-root", root, "-node", "n1", "-url", s.URL, "-manifest", manifest)
			object, tries := b.stored()
			if tries != tt.tries {
				t.Errorf("%d tries, want %d: %s", tries, tt.tries, msg)
			}
			if tt.status == exitWhole {
				checkImage(t, object, ram, read(t, manifest))
			} else if object != nil {
				t.Error("something was stored")
			}
		})
	}
}

// TestPutLength looks at whether a request says how long its body is.
func TestPutLength(t *testing.T) {
	tests := []struct {
		name   string
		lost   int // pages at the end of RAM
		args   []string
		status int
		known  bool
	}{
		{"whole, not compressed", 0, nil, exitWhole, true},
		{"compressed", 0, []string{"-format", "lime.lz4"}, exitWhole, false},
		{"another order", 0, []string{"-order", "kernel-first"}, exitWhole, false},
		{"with a page that can't be read: captured anew", 1, nil, exitNotWhole, false},
		{"nothing anew", 1, []string{"-retries", "0"}, exitFailed, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, _ := newRoot(t)
			if err := os.Truncate(filepath.Join(root, "proc", "kcore"), int64(0x1000+ramSize-tt.lost*0x1000)); err != nil {
				t.Fatal(err)
			}
			b := new(bucket)
			s := httptest.NewServer(b)
			defer s.Close()
			args := append([]string{"-root", root, "-url", s.URL, "-manifest", filepath.Join(t.TempDir(), "m")}, tt.args...)
			runCapture(t, tt.status, args...)
			object, _ := b.stored()
			if (object == nil) != (tt.status == exitFailed) {
				t.Fatalf("%d bytes were stored", len(object))
			}
			if known := b.length == int64(len(object)); object != nil && known != tt.known {
				t.Errorf("a request for %d bytes said %d", len(object), b.length)
			}
		})
	}
}

func TestPutNothingShort(t *testing.T) {
	root, _ := newRoot(t)
	// Nothing of the RAM can be read: the request is broken off, not ended.
	write(t, root, "proc/iomem", []byte("00200000-002fffff : System RAM\n"))
	b := new(bucket)
	s := httptest.NewServer(b)
	defer s.Close()
	runCapture(t, exitFailed, "-root", root, "-url", s.URL, "-manifest", filepath.Join(t.TempDir(), "m"))
	if object, _ := b.stored(); object != nil {
		t.Errorf("%d bytes were stored of a capture that failed", len(object))
	}
}

func TestPutHidesTheSignature(t *testing.T) {
	root, _ := newRoot(t)
	s := httptest.NewServer(new(bucket))
	s.Close()
	_, msg := runCapture(t, exitFailed, "-root", root, "-retries", "0", "-url", s.URL+"/image?Signature=secret", "-manifest", filepath.Join(t.TempDir(), "m"))
	if strings.Contains(msg, "secret") || !strings.Contains(msg, "/image") {
		t.Errorf("message %s", msg)
	}
}

// A URL that can't be read may still hold a good signature.
func TestBadURLHidesTheSignature(t *testing.T) {
	root, _ := newRoot(t)
	for _, flags := range [][]string{nil, {"-resumable"}} {
		args := append([]string{"-root", root, "-url", "https://host/image?Signature=secret\n", "-manifest", filepath.Join(t.TempDir(), "m")}, flags...)
		_, msg := runCapture(t, exitFailed, args...)
		if strings.Contains(msg, "secret") || !strings.Contains(msg, "the URL can't be read") {
			t.Errorf("%s: message %s", flags, msg)
		}
	}
}

// A session is a server with the resumable uploads of Google Cloud Storage.
type session struct {
	mu      sync.Mutex
	object  []byte
	done    bool
	trouble func(request int) (keep int, status int) // keep this much of the body, and answer so
	count   int
}

func (s *session) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.count++
	keep, status := len(body), 0
	if s.trouble != nil {
		if k, st := s.trouble(s.count); st != 0 {
			keep, status = min(k, len(body)), st
		}
	}
	var first, last int
	var total string
	if n, _ := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%s", &first, &last, &total); n == 3 {
		if first != len(s.object) || last-first+1 != len(body) || total == "*" && len(body)%(256<<10) != 0 {
			http.Error(w, "bad range", http.StatusBadRequest)
			return
		}
		s.object = append(s.object, body[:keep]...)
	} else {
		total = strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes */")
	}
	s.done = s.done || total == fmt.Sprint(len(s.object))
	switch {
	case status != 0:
		http.Error(w, "trouble", status)
	case s.done:
		w.WriteHeader(http.StatusOK)
	default:
		if len(s.object) > 0 {
			w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(s.object)-1))
		}
		w.WriteHeader(http.StatusPermanentRedirect)
	}
}

func TestResumable(t *testing.T) {
	was := pause
	pause = func(int) time.Duration { return 0 }
	defer func() { pause = was }()
	once := func(keep, status int) func(int) (int, int) {
		return func(request int) (int, int) {
			if request == 1 {
				return keep, status
			}
			return 0, 0
		}
	}
	tests := []struct {
		name    string
		trouble func(int) (int, int)
		status  int
	}{
		{"at once", nil, exitWhole},
		{"unavailable", once(0, http.StatusServiceUnavailable), exitWhole},
		{"half of the part was stored", once(0x10000, http.StatusServiceUnavailable), exitWhole},
		{"all was stored, and the answer lost", once(1<<30, http.StatusServiceUnavailable), exitWhole},
		{"gone", func(int) (int, int) { return 0, http.StatusGone }, exitFailed},
		{"always unavailable", func(int) (int, int) { return 0, http.StatusServiceUnavailable }, exitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, ram := newRoot(t)
			h := &session{trouble: tt.trouble}
			s := httptest.NewServer(h)
			defer s.Close()
			manifest := filepath.Join(t.TempDir(), "manifest")
			runCapture(t, tt.status, "-root", root, "-node", "n1", "-url", s.URL, "-resumable", "-manifest", manifest)
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.done != (tt.status == exitWhole) {
				t.Errorf("upload is whole: %v", h.done)
			}
			if h.done {
				checkImage(t, h.object, ram, read(t, manifest))
			}
		})
	}
}

func TestResumableParts(t *testing.T) {
	h := new(session)
	s := httptest.NewServer(h)
	defer s.Close()
	u := &upload{ctx: t.Context(), session: s.URL}
	want := bytes.Repeat([]byte("0123456789abcde"), 3*partSize/15)[:2*partSize]
	for b := want; len(b) > 0; {
		n := min(len(b), 1<<20+1)
		if m, err := u.Write(b[:n]); m != n || err != nil {
			t.Fatal(m, err)
		}
		b = b[n:]
	}
	if err := u.close(); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.done || h.count != 2 || !bytes.Equal(h.object, want) {
		t.Errorf("done %v after %d requests, %d bytes of %d", h.done, h.count, len(h.object), len(want))
	}
}
