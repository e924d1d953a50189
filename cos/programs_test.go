package cos

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// The programs of all containers are their images', but for what is mounted: nothing on the lab's nodes writes a program in a container. Those
// of processes whose files are gone are not among them.
func TestContainerPrograms(t *testing.T) {
	images := []testimages.Image{bundled(t)}
	if testimages.Have() {
		images = append(images, testimages.All(t)...)
	}
	for _, img := range images {
		opts := &Options{Sections: SectionContainers}
		if img.ISF != "" {
			opts.Symbols = symbolsOf(t, img)
		}
		r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
		if err != nil {
			t.Fatal(err)
		}
		want, got := map[string][]int32{}, map[string][]int32{}
		for i := range r.Processes {
			if p := &r.Processes[i]; p.ContainerID != "" && p.Exe != "" && !strings.HasSuffix(p.Exe, " (deleted)") {
				want[p.ContainerID+p.Exe] = append(want[p.ContainerID+p.Exe], p.PID)
			}
		}
		// Of 5.10, whose modules have no types of their own, overlayfs is not known, and the report says so.
		if slices.ContainsFunc(r.Gaps, func(g vmem.Gap) bool { return g.Object == "layers of containers" }) && strings.HasPrefix(r.Kernel.Release, "5.10.") {
			continue
		}
		for _, c := range r.Containers {
			for _, p := range c.Programs {
				got[c.ID+p.Path] = p.PIDs
				if p.Layer != LayerImage || p.Replaces || p.Same || p.Mtime.IsZero() || !slices.IsSorted(p.PIDs) {
					t.Errorf("%s: %s %s: %+v", img.Name, c.Pod, c.Name, p)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: programs (-processes +containers):\n%s", img.Name, diff)
		}
	}
}
