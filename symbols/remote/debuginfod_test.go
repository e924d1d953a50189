package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/symbols"
)

func debugPath(k symboltest.Kernel) string { return "/buildid/" + k.BuildID + "/debuginfo" }

func (s *server) debuginfod(t testing.TB) *Debuginfod {
	return &Debuginfod{URLs: []string{s.URL}, Client: client(t)}
}

func TestDebuginfod(t *testing.T) {
	b := symboltest.Running.Vmlinux()
	s, store := newServer(t, map[string][]byte{debugPath(symboltest.Running): b}), symbols.NewStore(t.TempDir())
	s.serve = func(w http.ResponseWriter, _ *http.Request) bool { // as a server that compresses on the fly
		w.Header().Set("X-DEBUGINFOD-SIZE", fmt.Sprint(len(b)))
		_ = http.NewResponseController(w.(*counter).ResponseWriter).Flush()
		_, _ = w.Write(b)
		return true
	}
	var told int64
	opts := &symbols.Options{
		Fetch: []symbols.Source{s.debuginfod(t)}, Store: store, TempDir: t.TempDir(), Converters: converters,
		Progress: func(stage string, done, total int64) {
			if strings.HasPrefix(stage, "fetching ") && done == total {
				told = total
			}
		},
	}
	found, err := symbols.Find(t.Context(), symboltest.Running.Memory(), opts)
	if err != nil || found.From != "vmlinux "+s.URL+debugPath(symboltest.Running) || told != int64(len(b)) {
		t.Fatalf("%+v, %v, told of %d bytes", found, err, told)
	}
	s.asked()
	found, err = symbols.Find(t.Context(), symboltest.Running.Memory(), opts)
	if err != nil || !strings.HasPrefix(found.From, "store "+store.Dir()) || len(s.asked()) > 0 {
		t.Errorf("the second time: %+v, %v", found, err)
	}
}

// TestDebuginfodSecond: the next server is asked where the first has nothing, and what it
// has not is remembered.
func TestDebuginfodSecond(t *testing.T) {
	first := newServer(t, nil)
	second := newServer(t, map[string][]byte{debugPath(symboltest.Running): symboltest.Running.Vmlinux()})
	source := first.debuginfod(t)
	source.URLs = append(source.URLs, second.URL+"/")
	source.Client.Store = symbols.NewStore(t.TempDir())
	for i := range 2 {
		found, err := find(t.Context(), t, symboltest.Running, source, nil)
		if err != nil || !strings.Contains(found.From, second.URL) {
			t.Fatalf("%+v, %v", found, err)
		}
		if a := found.Tried[len(found.Tried)-1]; !errors.Is(a.Err, symbols.ErrNothing) || !strings.Contains(a.Name, first.URL) {
			t.Errorf("%v", a)
		}
		if n := len(first.asked()); n != 1-i {
			t.Errorf("asked %d times", n)
		}
	}
}

// TestDebuginfodWrong: a server that sends another kernel's file is not believed.
func TestDebuginfodWrong(t *testing.T) {
	s := newServer(t, map[string][]byte{debugPath(symboltest.Running): symboltest.Older.Vmlinux()})
	_, err := find(t.Context(), t, symboltest.Running, s.debuginfod(t), nil)
	if err := lastErr(t, err); !errors.Is(err, symbols.ErrMismatch) || !strings.Contains(err.Error(), "5.10.0-7") {
		t.Errorf("%v", err)
	}
}

// stall sends a part of a file, or nothing, and then no more until the client is gone.
func stall(b []byte) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "1000000")
		if len(b) > 0 {
			_, _ = w.Write(b)
			_ = http.NewResponseController(w.(*counter).ResponseWriter).Flush()
		}
		<-r.Context().Done()
		return true
	}
}

// TestDebuginfodSlow: a server that goes silent, before its answer or in it, is left.
func TestDebuginfodSlow(t *testing.T) {
	t.Parallel()
	for name, part := range map[string][]byte{"at once": nil, "later": []byte("\x7fELF")} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			s.serve = stall(part)
			source := s.debuginfod(t)
			source.Client.Patience = 50 * time.Millisecond
			_, err := find(t.Context(), t, symboltest.Running, source, nil)
			if err := lastErr(t, err); !errors.Is(err, ErrStalled) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestDebuginfodTrickle: one that is slow and does not stand still is waited for.
func TestDebuginfodTrickle(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	b := symboltest.Running.Vmlinux()
	s := newServer(t, nil)
	s.serve = func(w http.ResponseWriter, _ *http.Request) bool {
		for part := range slices.Chunk(b, len(b)/6+1) {
			time.Sleep(250 * time.Millisecond)
			_, _ = w.Write(part)
			_ = http.NewResponseController(w.(*counter).ResponseWriter).Flush()
		}
		return true
	}
	source := s.debuginfod(t)
	source.Client.Patience = time.Second
	if _, err := find(t.Context(), t, symboltest.Running, source, nil); err != nil {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	s := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.serve = func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		return stall(nil)(w, r)
	}
	for _, source := range []symbols.Source{s.debuginfod(t), s.bucket(t)} {
		if _, err := find(ctx, t, symboltest.Running, source, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}

// TestDebuginfodNoBuildID: without one there is nothing to ask for.
func TestDebuginfodNoBuildID(t *testing.T) {
	s := newServer(t, nil)
	mem := symboltest.Running.Memory()
	mem.Forget(symboltest.Notes, 0x1000)
	_, err := symbols.Find(t.Context(), mem, &symbols.Options{Fetch: []symbols.Source{s.debuginfod(t)}})
	if !errors.Is(err, symbols.ErrNothing) || len(s.asked()) > 0 {
		t.Errorf("%v", err)
	}
}

func TestDebuginfodURLs(t *testing.T) {
	for value, want := range map[string][]string{
		"":                   nil,
		"https://a.example/": {"https://a.example/"},
		"ima:enforcing https://a  http://b:8002/x file:///srv": {"https://a", "http://b:8002/x"},
	} {
		t.Setenv("DEBUGINFOD_URLS", value)
		if got := DebuginfodURLs(); !slices.Equal(got, want) {
			t.Errorf("%q: %q", value, got)
		}
	}
	if err := os.Unsetenv("DEBUGINFOD_URLS"); err != nil || DebuginfodURLs() != nil {
		t.Errorf("unset: %q, %v", DebuginfodURLs(), err)
	}
}

// TestSecrets: a name and a password in the URL of a server are used, and not shown.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := newServer(t, map[string][]byte{debugPath(symboltest.Running): symboltest.Running.Vmlinux()})
	asked := ""
	s.serve = func(_ http.ResponseWriter, r *http.Request) bool {
		_, asked, _ = r.BasicAuth()
		return false
	}
	source := s.debuginfod(t)
	source.URLs = []string{strings.Replace(s.URL, "http://", "http://user:secret@", 1)}
	found, err := find(t.Context(), t, symboltest.Running, source, nil)
	if err != nil || asked != "secret" || strings.Contains(found.String(), "secret") {
		t.Errorf("%+v, %v; password %q", found, err, asked)
	}
	source.URLs = []string{"http://user:secret\x7f@host", "http://user:secret#@host"}
	_, err = find(t.Context(), t, symboltest.Running, source, nil)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no URL: %v", err)
	}
	source.URLs = []string{strings.Replace(s.URL, "http://", "http://user:secret@", 1)}
	s.files = nil
	_, err = find(t.Context(), t, symboltest.Running, source, nil)
	if err := lastErr(t, err); !errors.Is(err, symbols.ErrNothing) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
