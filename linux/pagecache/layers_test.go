package pagecache

import (
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// What a container has written is in the upper layer of its overlay, and what is its image's is not.
func TestInodeLayers(t *testing.T) { eachNode(t, inodeLayers) }

func inodeLayers(t *testing.T, node *node) {
	if bundled, err := testimages.Bundled(); err != nil || node.Path != bundled.Path {
		t.Skip("what containers wrote is known of the bundled node")
	}
	s := node.set
	written := 0
	nameless, _ := s.Nameless(t.Context())
	for _, n := range nameless {
		upper, lower := n.Layers()
		switch {
		case n.Path == "/tmp/.cache.db (deleted)": // the intruder's
			written++
			if upper == nil || lower != nil || n.FSType != "overlay" {
				t.Errorf("%s: upper %v, lower %v", n.Path, upper, lower)
			}
		case n.FSType != "overlay" && (upper != nil || lower != nil):
			t.Errorf("%s of %s is in layers", n.Path, n.FSType)
		}
	}
	if written != 1 {
		t.Errorf("%d files that a container wrote, not 1", written)
	}
	image := 0
	for _, task := range s.Tasks() {
		if exe, err := task.Exe(); err != nil || exe != "/bin/busybox" {
			continue
		}
		files, err := s.FS(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		f, err := files.Find(strings.TrimPrefix("/bin/busybox", "/"), true)
		if err != nil {
			t.Fatal(err)
		}
		if upper, lower := f.Layers(); upper != nil || lower == nil {
			t.Errorf("%v: upper %v, lower %v", task, upper, lower)
		}
		image++
	}
	if image == 0 {
		t.Error("no process runs what is its image's")
	}
}
