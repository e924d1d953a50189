package cos

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
			if !madeForMount(c.Spec, w.Path) || w.Kind != WrittenNew || w.Mode == 0 || w.Mtime.IsZero() {
				t.Errorf("container %s of %s: %+v", c.Name, c.Pod, w)
			}
		}
	}
}

// TestWrittenOfNodes: a container of the lab's cases of files writes, replaces and deletes.
func TestWrittenOfNodes(t *testing.T) {
	eachInspected(t, func(t *testing.T, img testimages.Image, all []ContainerDetail) {
		want := map[string]WrittenKind{
			"new": WrittenNew, "etc/lower.conf": WrittenReplaced, "lib/lower.large": WrittenReplaced, "etc/doomed.conf": WrittenDeleted, "srv/tree": WrittenNew, "srv/tree/fresh": WrittenNew,
		}
		pods := createdPods(t, img.Truth)
		p := slices.IndexFunc(pods, func(p createdPod) bool { return p.Pod.Name == "volumes-0" })
		if p < 0 {
			t.Fatal("the pod that writes is not there")
		}
		c := slices.IndexFunc(all, func(c ContainerDetail) bool { return c.ID == pods[p].Containers["main"] })
		if c < 0 {
			t.Fatal("the container that writes is not there")
		}
		got := map[string]WrittenKind{}
		for _, w := range all[c].Written {
			if !madeForMount(all[c].Spec, w.Path) {
				got[w.Path] = w.Kind
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-container +found):\n%s", diff)
		}
	})
}

// madeForMount reports whether a path is a place that a container has mounts at or below.
func madeForMount(s *ContainerSpec, path string) bool {
	return slices.ContainsFunc(s.Mounts, func(m SpecMount) bool {
		return m.Destination == "/"+path || strings.HasPrefix(m.Destination, "/"+path+"/")
	})
}
