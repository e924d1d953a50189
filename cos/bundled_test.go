package cos

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
)

// bundled is the node image that comes with the repository; the lab's README says what
// is on it.
func bundled(tb testing.TB) testimages.Image {
	tb.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// TestBundledNode compares the whole report about the bundled node with what /proc said
// on it, and the report must be whole.
func TestBundledNode(t *testing.T) {
	img := bundled(t)
	node, err := truth.Read(img.Truth)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range []*Options{{SymbolFile: img.ISF}, nil} {
		r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, node, r)
		if !r.Whole() {
			t.Error("the report is not whole")
		}
		checkRoundTrip(t, r)
	}
}
