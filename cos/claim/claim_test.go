package claim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/cos/claim"
)

func ExampleOrigin_Rank() {
	origins := []claim.Origin{claim.HintShim, claim.FromMetadata, claim.FromCgroup}
	slices.SortFunc(origins, func(a, b claim.Origin) int { return a.Rank() - b.Rank() })
	fmt.Println(origins)
	// Output: [cgroup containerd-metadata shim-arguments]
}

// TestRank checks that hints are believed last, and records of the past after the present.
func TestRank(t *testing.T) {
	all := []claim.Origin{
		claim.FromCgroup, claim.FromMount, claim.FromLogFile, claim.FromLogFileAlone, claim.FromMetadata, claim.FromMetadataPage,
		claim.FromMetadataMemory, claim.FromLogPathMemory, claim.HintShim, claim.HintUTSName,
	}
	for i, o := range all {
		if o.Rank() != i+1 {
			t.Errorf("%s has rank %d, want %d", o, o.Rank(), i+1)
		}
		if o.Hint() != (i >= 8) || o.Identifies() != (!o.Hint() && o != claim.FromMount) {
			t.Errorf("%s: hint %v, identifies %v", o, o.Hint(), o.Identifies())
		}
		if past := strings.HasPrefix(string(o), "containerd-metadata"); o.Recorded() != past {
			t.Errorf("%s: recorded %v", o, o.Recorded())
		}
		if past := strings.HasSuffix(string(o), "-page") || strings.HasSuffix(string(o), "-memory"); o.MayBePast() != past {
			t.Errorf("%s: may be past %v", o, o.MayBePast())
		}
	}
	if last := claim.Origin("new").Rank(); last != len(all)+1 {
		t.Errorf("one that is not known has rank %d", last)
	}
}

func TestIsContainerID(t *testing.T) {
	id := strings.Repeat("0a", 32)
	for s, want := range map[string]bool{id: true, id[1:]: false, id + "0": false, strings.ToUpper(id): false, id[1:] + "\n": false, "": false} {
		if got := claim.IsContainerID(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestUndeleted(t *testing.T) {
	for path, want := range map[string]string{"/a": "/a", "/a (deleted)": "/a", "/a (deleted)/b": "/a (deleted)/b", "": ""} {
		if got := claim.Undeleted(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
