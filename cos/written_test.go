package cos

import (
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// TestWrittenOfBundledNode: in the upper layer of each container is what the runtime made for its mounts, and nothing else that has a name.
func TestWrittenOfBundledNode(t *testing.T) {
	all := containersOf(t, bundledNode(t))
	for i := range all {
		c := &all[i]
		if c.Spec == nil || len(c.Written) == 0 {
			t.Errorf("container %s of %s has written nothing", c.Name, c.Pod)
			continue
		}
		for _, w := range c.Written {
			at := slices.IndexFunc(c.Spec.Mounts, func(m SpecMount) bool {
				return m.Destination == "/"+w.Path || strings.HasPrefix(m.Destination, "/"+w.Path+"/")
			})
			if at < 0 || w.Kind != WrittenNew || w.Mode == 0 || w.Mtime.IsZero() {
				t.Errorf("container %s of %s: %+v", c.Name, c.Pod, w)
			}
		}
	}
}

// TestWrittenOfNodes: a container of the lab's cases of files writes, replaces and deletes.
func TestWrittenOfNodes(t *testing.T) {
	if !testimages.Have() {
		t.Skip("whole nodes are read where NODELENS_IMAGES is set")
	}
	want := map[string]WrittenKind{
		"new": WrittenNew, "etc/lower.conf": WrittenReplaced, "lib/lower.large": WrittenReplaced, "etc/doomed.conf": WrittenDeleted, "srv/tree": WrittenNew, "srv/tree/fresh": WrittenNew,
	}
	for _, img := range testimages.All(t) {
		if img.Truth == "" {
			continue
		}
		for _, p := range createdPods(t, img.Truth) {
			id := p.Containers["main"]
			if p.Pod.Name != "volumes-0" || id == "" {
				continue
			}
			t.Run(img.Name, func(t *testing.T) {
				n, err := OpenNode(t.Context(), File(img.Path), &Options{Symbols: symbolsOf(t, img)})
				if err != nil {
					t.Fatal(err)
				}
				defer n.Close()
				all := containersOf(t, n)
				i := slices.IndexFunc(all, func(c ContainerDetail) bool { return c.ID == id })
				if i < 0 {
					t.Fatal("there is no such container")
				}
				got := map[string]WrittenKind{}
				for _, w := range all[i].Written {
					mount := slices.ContainsFunc(all[i].Spec.Mounts, func(m SpecMount) bool {
						return m.Destination == "/"+w.Path || strings.HasPrefix(m.Destination, "/"+w.Path+"/")
					})
					if !mount {
						got[w.Path] = w.Kind
					}
				}
				for path, kind := range want {
					if got[path] != kind {
						t.Errorf("%s is %q, want %q", path, got[path], kind)
					}
					delete(got, path)
				}
				for path, kind := range got {
					t.Errorf("%s is %q, and was not written", path, kind)
				}
			})
		}
	}
}
