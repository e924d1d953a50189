package cos

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
)

// serveImage serves a file as a bucket does: in ranges, and with an ETag.
func serveImage(t testing.TB, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		http.ServeContent(w, r, "", time.Time{}, f)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/" + filepath.Base(name) + "?X-Signature=secret"
}

// remoteImages returns the images that are read behind a server, with how many requests and
// bytes that takes at most: docs/remote.md has what it took.
func remoteImages(t testing.TB) map[string]remoteCost {
	images := map[string]remoteCost{bundled(t).Path: {100, 122 << 20}}
	if os.Getenv("NODELENS_IMAGES") != "" {
		images[testimages.Named(t, "s-6.12-la57").Path] = remoteCost{125, 152 << 20}
		images[testimages.Named(t, "s-6.1").Path] = remoteCost{125, 180 << 20}
	}
	return images
}

type remoteCost struct{ requests, bytes int64 }

// An image behind a server gives the report that it gives as a file, and only a part of it
// is sent; for memory is not searched for tasks then unless that is asked for.
func TestRemote(t *testing.T) {
	for name, most := range remoteImages(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			whole, err := AnalyzeNode(t.Context(), File(name), &Options{TaskScan: linux.ScanNever})
			if err != nil {
				t.Fatal(err)
			}
			want := asJSON(t, whole)
			f, err := image.Open(t.Context(), serveImage(t, name), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := AnalyzeNode(t.Context(), Memory(f), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, asJSON(t, r)); diff != "" {
				t.Errorf("report (-file +server):\n%.2000s", diff)
			}
			requests, bytes := f.Traffic()
			t.Logf("%d requests, %.1f of %d MiB", requests, float64(bytes)/(1<<20), f.Info.Size>>20)
			if requests > most.requests || bytes > most.bytes {
				t.Errorf("%d requests, %d bytes; want at most %d, %d", requests, bytes, most.requests, most.bytes)
			}
		})
	}
}

// BenchmarkRemote analyses images behind a server that answers each request after 20 ms;
// docs/remote.md has its table.
func BenchmarkRemote(b *testing.B) {
	for name := range remoteImages(b) {
		url := serveImage(b, name)
		for _, how := range []image.Remote{{BlockSize: 64 << 10, ReadAhead: 1}, {BlockSize: 256 << 10, ReadAhead: 16}, {}} {
			b.Run(fmt.Sprintf("%s/%dKiB/%d", filepath.Base(name), how.BlockSize>>10, how.ReadAhead), func(b *testing.B) {
				how.Client = &http.Client{Transport: slow{http.DefaultTransport, 20 * time.Millisecond}}
				for b.Loop() {
					f, err := image.OpenURL(b.Context(), url, &image.Options{Remote: &how})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := AnalyzeNode(b.Context(), Memory(f), nil); err != nil {
						b.Fatal(err)
					}
					requests, bytes := f.Traffic()
					b.ReportMetric(float64(requests), "requests")
					b.ReportMetric(float64(bytes)/(1<<20), "MiB")
					f.Close()
				}
			})
		}
	}
}

// slow is a way to a server with latency.
type slow struct {
	http.RoundTripper
	latency time.Duration
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(s.latency)
	return s.RoundTripper.RoundTrip(r)
}
