package fleet

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodelens/nodelens/internal/testimages"
)

// An image behind a signed URL: the result does not tell the signature, knows the image by its ETag, and is not made anew with another signature. What a server
// refuses is poison.
func TestURL(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if !strings.HasPrefix(r.URL.RawQuery, "sig=") {
			http.Error(w, "no signature", http.StatusForbidden)
			return
		}
		w.Header().Set("ETag", `"generation-1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(server.Close)
	r := testRunner(t, t.TempDir())
	plain := *r.Analyser
	plain.Run = nil
	r.Command = []string{"/usr/bin/env", asChild + "=url", os.Args[0]}
	r.Analyser = &plain
	got, _, err := r.Do(t.Context(), Item{URI: server.URL + "/node.lime?sig=5up3rKey"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != Whole || got.Item.URI != server.URL+"/node.lime" || got.Image.ETag != `"generation-1"` || got.Image.Size != int64(len(content)) {
		t.Fatalf("result is %+v, %+v", got, got.Failure)
	}
	files, err := r.Results.Files()
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	_, report, _, err := Read(files[0])
	if err != nil || report.Provenance.ETag != got.Image.ETag || strings.Contains(inJSON(t, report), "5up3rKey") {
		t.Errorf("report of %q, %v", report.Provenance.ETag, err)
	}
	before := requests.Load()
	if _, had, err := r.Do(t.Context(), Item{URI: server.URL + "/node.lime?sig=other"}); err != nil || !had || requests.Load() > before+2 {
		t.Errorf("with another signature: had %t, %v, %d requests", had, err, requests.Load()-before)
	}
	refused, _, err := r.Do(t.Context(), Item{URI: server.URL + "/node.lime"})
	if err != nil || refused.Failure == nil || refused.Failure.Cause != CausePoison || refused.Attempts != 1 {
		t.Errorf("without a signature: %+v, %v", refused, err)
	}
}
