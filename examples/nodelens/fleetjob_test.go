package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/testimages"
)

// indexedJob is what the controller of Jobs reads of one.
type indexedJob struct {
	Spec struct {
		Completions          int `yaml:"completions"`
		BackoffLimitPerIndex int `yaml:"backoffLimitPerIndex"`
		PodFailurePolicy     struct {
			Rules []struct {
				Action      string
				OnExitCodes struct{ Values []int } `yaml:"onExitCodes"`
			}
		} `yaml:"podFailurePolicy"`
		Template struct {
			Spec struct{ Containers []struct{ Args []string } }
		}
	}
}

// The manifest that is printed, run as the controller of Jobs would: a process for each index, again as often as the Job says, but for an index that the policy fails.
// The image that is no image fails at once; the one that is not there is tried again; the node has its report; and the summary has them all.
func TestFleetJob(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	dir := t.TempDir()
	node, err := filepath.EvalSymlinks("node.lime")
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf("{\"uri\":%q}\n{\"uri\":\"text\"}\n{\"uri\":\"not there\"}\n", node)
	for name, content := range map[string]string{"text": "nothing", "manifest.jsonl": manifest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := start(t, dir, nil, "fleet", "manifests", "images", "manifest.jsonl", "--image", "i", "--claim", "c", "--attempts", "2")
	if status != command.OK {
		t.Fatalf("manifests: %d\n%s", status, stderr)
	}
	var job indexedJob
	if err := yaml.Unmarshal([]byte(stdout), &job); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, a := range job.Spec.Template.Spec.Containers[0].Args {
		args = append(args, strings.Replace(a, "/data/", dir+"/", 1)) // the volume
	}
	got := map[int][]int{}
	for i := range job.Spec.Completions {
		for range job.Spec.BackoffLimitPerIndex + 1 {
			status, _, _ := start(t, dir, []string{fmt.Sprint("JOB_COMPLETION_INDEX=", i)}, args...)
			got[i] = append(got[i], status)
			if rule := job.Spec.PodFailurePolicy.Rules[0]; status == 0 || rule.Action == "FailIndex" && slices.Contains(rule.OnExitCodes.Values, status) {
				break
			}
		}
	}
	want := map[int][]int{0: {fleet.ExitWhole}, 1: {fleet.ExitPoison}, 2: {fleet.ExitTryAgain, fleet.ExitTryAgain}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the indexes ended with %v, want %v", got, want)
	}
	status, stdout, stderr = start(t, dir, nil, "fleet", "summary", "manifest.jsonl", "-o", "results")
	if status != exitNotWhole || !strings.HasPrefix(stdout, "images: 3; reports: 1 whole, 0 not whole; failed: 2; without a result: 0\n") {
		t.Errorf("summary: %d\n%s%s", status, stdout, stderr)
	}
}

func TestFleetManifestsOfNodes(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := start(t, t.TempDir(), nil, "fleet", "manifests", "nodes", "node-a", "node-b", "--image", "i", "--claim", "c", "--label", "cluster=x")
	if status != command.OK || strings.Count(stdout, "kind: Job") != 2 || !strings.Contains(stdout, `nodeName: "node-b"`) {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
	if status, _, stderr := start(t, t.TempDir(), nil, "fleet", "manifests", "nodes", "node a", "--image", "i", "--claim", "c"); status != command.Usage {
		t.Errorf("%d\n%s", status, stderr)
	}
}
