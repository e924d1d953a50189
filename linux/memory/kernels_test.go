package memory

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
)

// TestKernels: what is read of memory is bound by the types of all kernels there are.
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
		v, m, s := bindViews(types), bindMaps(types), bindSwap(types)
		if v.err != nil || v.regsErr != nil || m.err != nil || s.err != nil {
			t.Errorf("%s: %v, %v, %v, %v", release, v.err, v.regsErr, m.err, s.err)
		}
		if !m.pages.Ok() || !m.order.Ok() || s.info.Has("Map") == s.cluster.Ok() {
			t.Errorf("%s: pages %v, huge pages %v, swap %v, %v", release, m.pages.Ok(), m.order.Ok(), s.info.Has("Map"), s.cluster.Ok())
		}
	}
}
