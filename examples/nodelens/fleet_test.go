package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/testimages"
)

// asChild has the test program be the command: as such it starts itself.
const asChild = "NODELENS_FLEET_TEST"

// start runs the command as a process of its own, which starts others.
func start(t *testing.T, dir string, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Env = append(os.Environ(), append(env, asChild+"=1")...)
	_ = cmd.Run() // its status is what counts
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestFleet(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	dir := t.TempDir()
	node, err := filepath.EvalSymlinks("node.lime")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "images"), 0o700), os.Symlink(node, filepath.Join(dir, "images", "a.lime")),
		os.WriteFile(filepath.Join(dir, "images", "b.txtfile"), []byte("nothing"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := start(t, dir, nil, "fleet", "run", "images", "-o", "r", "--with", "network", "--label", "cluster=prod")
	if status != exitNotWhole || stdout != "images: 2; reports: 1 whole, 0 not whole; failed: 1; without a result: 0\n" ||
		!strings.Contains(stderr, "whole images/a.lime gke-prod-default-pool-6f3c2a91-v4kd\n") || !strings.Contains(stderr, "failed images/b.txtfile poison: ") {
		t.Fatalf("run: %d\n%s%s", status, stdout, stderr)
	}
	status, manifest, stderr := start(t, dir, nil, "fleet", "scan", "images")
	if status != command.OK || manifest != `{"uri":"images/a.lime"}`+"\n"+`{"uri":"images/b.txtfile"}`+"\n" {
		t.Fatalf("scan: %d\n%s%s", status, manifest, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, "m.jsonl"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env    string
		args   []string
		status int
		said   string
	}{
		{"JOB_COMPLETION_INDEX=0", []string{"-m", "m.jsonl", "-o", "r", "--with", "network"}, fleet.ExitWhole, "(had its result)"},
		{"SLURM_ARRAY_TASK_ID=1", []string{"-m", "m.jsonl", "-o", "r", "--with", "network"}, fleet.ExitPoison, "(had its result)"},
		{"BATCH_TASK_INDEX=1", []string{"-m", "m.jsonl", "-o", "r2"}, fleet.ExitPoison, "poison"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=2", []string{"-m", "m.jsonl", "-o", "r"}, command.Failed, "not the index of an item"},
		{"X=", []string{"-m", "m.jsonl", "-o", "r"}, command.Failed, "no index of an item"},
		{"X=", nil, command.Usage, "name a manifest"},
	} {
		status, stdout, stderr := start(t, dir, []string{test.env}, append([]string{"fleet", "work"}, test.args...)...)
		if status != test.status || !strings.Contains(stdout+stderr, test.said) {
			t.Errorf("work with %s, %q: %d\n%s%s", test.env, test.args, status, stdout, stderr)
		}
	}
	status, stdout, stderr = start(t, dir, nil, "fleet", "summary", "m.jsonl", "-o", "r")
	if status != exitNotWhole || !strings.HasPrefix(stdout, "images: 2; reports: 1 whole, 0 not whole; failed: 1; without a result: 0\nfailed images/b.txtfile poison: ") {
		t.Errorf("summary: %d\n%s%s", status, stdout, stderr)
	}
	status, stdout, stderr = start(t, dir, nil, "fleet", "summary", "images", "-o", "none")
	if status != exitNotWhole || !strings.HasSuffix(stdout, "without a result: 2\nsilent images/a.lime\nsilent images/b.txtfile\n") {
		t.Errorf("summary of nothing: %d\n%s%s", status, stdout, stderr)
	}
}

func TestFleetRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"fleet", "walk"}, {"fleet", "run"}, {"fleet", "run", "a", "a"}, {"fleet", "run", "a", "--label", "x"}, {"fleet", "run", "a", "--with", "x"}} {
		status, stdout, stderr := start(t, t.TempDir(), nil, args...)
		if status != command.Usage {
			t.Errorf("%q: %d\n%s%s", args, status, stdout, stderr)
		}
	}
}
