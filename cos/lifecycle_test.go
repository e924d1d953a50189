package cos

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
)

// criStatus is what the runtime said of a container or a sandbox (k8s.io/cri-api).
type criStatus struct {
	ID       string `json:"id"`
	Metadata struct {
		Attempt uint32 `json:"attempt"`
	} `json:"metadata"`
	Created     int64             `json:"created_at"`
	Started     int64             `json:"started_at"`
	Finished    int64             `json:"finished_at"`
	ExitCode    int32             `json:"exit_code"`
	Reason      string            `json:"reason"`
	LogPath     string            `json:"log_path"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Handler     string            `json:"runtime_handler"`
	ImageRef    string            `json:"image_ref"` // of images without a registry, the digest of the configuration
	Network     *struct {
		IP         string `json:"ip"`
		Additional []struct {
			IP string `json:"ip"`
		} `json:"additional_ips"`
	} `json:"network"`
}

// lifecycle is what a report is to have of it.
func (s *criStatus) lifecycle(sandbox bool) *Lifecycle {
	at := func(ns int64) (t time.Time) {
		if ns > 0 {
			t = time.Unix(0, ns).UTC()
		}
		return t
	}
	l := &Lifecycle{
		Created: at(s.Created), Started: at(s.Started), Finished: at(s.Finished), Reason: s.Reason, Attempt: &s.Metadata.Attempt,
		ImageRef: s.ImageRef, LogPath: s.LogPath, Handler: s.Handler, Labels: shownSettings(s.Labels), Annotations: shownSettings(s.Annotations),
	}
	if s.Finished > 0 {
		l.ExitCode = &s.ExitCode
	}
	if sandbox && s.Network != nil && s.Network.IP != "" {
		l.IPs = []string{s.Network.IP}
		for _, a := range s.Network.Additional {
			l.IPs = append(l.IPs, a.IP)
		}
	}
	return l
}

// shownSettings are labels that hold no secrets.
func shownSettings(m map[string]string) (all []Secret) {
	for name, v := range m {
		all = append(all, Secret{Name: name, Length: len(v), Value: &v})
	}
	slices.SortFunc(all, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TestLifecycleOfBundledNode compares what the runtime wrote down with what the loader asked for. Statuses are not in this image: what
// was clean in the page cache was dropped before it was taken.
func TestLifecycleOfBundledNode(t *testing.T) {
	by := map[string]*ContainerDetail{}
	all := containersOf(t, bundledNode(t))
	for i := range all {
		by[all[i].ID] = &all[i]
	}
	for _, p := range createdPods(t, bundled(t).Truth) {
		ids := map[string]string{"": p.SandboxID}
		maps.Copy(ids, p.Containers)
		for name, id := range ids {
			c := by[id]
			if c == nil || c.Lifecycle == nil {
				t.Errorf("%s/%s: %+v", p.Pod.Name, name, c)
				continue
			}
			l := c.Lifecycle
			if l.Attempt == nil || *l.Attempt != 0 || l.Created.IsZero() || l.ExitCode != nil || l.Handler != "" {
				t.Errorf("%s/%s: %+v", p.Pod.Name, name, l)
			}
			want := fmt.Sprintf("/var/log/pods/%s_%s_%s/%s/0.log", p.Pod.Namespace, p.Pod.Name, p.Pod.UID, name)
			if name == "" {
				want = ""
			}
			if l.LogPath != want || name == "" && (len(l.IPs) != 1) == !p.Pod.HostNet {
				t.Errorf("%s/%s: its log is %q, want %q; its addresses are %q", p.Pod.Name, name, l.LogPath, want, l.IPs)
			}
			if !slices.ContainsFunc(l.Labels, func(s Secret) bool {
				return s.Name == "io.kubernetes.pod.uid" && s.Value != nil && *s.Value == p.Pod.UID
			}) {
				t.Errorf("%s/%s has the labels %+v", p.Pod.Name, name, l.Labels)
			}
		}
	}
}

// TestLifecycleOfNodes compares all that is known of containers and sandboxes, also of those that have ended, with what the runtime says of them.
func TestLifecycleOfNodes(t *testing.T) {
	eachInspected(t, func(t *testing.T, img testimages.Image, all []ContainerDetail) {
		text, err := os.ReadFile(filepath.Join(img.Truth, "cri.json"))
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Sandboxes, Containers []struct {
				Status criStatus `json:"status"`
			}
		}
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatal(err)
		}
		found := map[string]*Lifecycle{}
		for _, c := range all {
			found[c.ID] = c.Lifecycle
		}
		ended, again := 0, 0
		compare := func(s *criStatus, sandbox bool) {
			got := found[s.ID]
			if got == nil {
				t.Errorf("nothing of %s", s.ID)
				return
			}
			want := s.lifecycle(sandbox)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-runtime +found):\n%s", s.ID, d)
			}
			if want.ExitCode != nil {
				ended++
			}
			if *want.Attempt > 0 {
				again++
			}
		}
		for i := range said.Sandboxes {
			compare(&said.Sandboxes[i].Status, true)
		}
		for i := range said.Containers {
			compare(&said.Containers[i].Status, false)
		}
		if len(said.Containers) == 0 || ended == 0 || again == 0 {
			t.Errorf("%d containers, of which %d ended and %d were made again", len(said.Containers), ended, again)
		}
	})
}
