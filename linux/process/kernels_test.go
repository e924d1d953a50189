package process

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
)

// TestKernels: what is read of tasks is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	files := testimages.SymbolFiles(t)
	if len(files) < 2 {
		t.Skip("there is none but that of the bundled node, which other tests read")
	}
	for release, name := range files {
		types, err := isf.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if v := bindViews(types); v.err != nil || v.ttyErr != nil || v.timers.err != nil {
			t.Errorf("%s: %v, %v, %v", release, v.err, v.ttyErr, v.timers.err)
		}
	}
}
