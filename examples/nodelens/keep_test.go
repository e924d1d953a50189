package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/testimages"
)

// An unopened image can't be opened but for a report.
type unopened struct{ stored }

func (unopened) open(context.Context, string, *cos.Options) (*cos.Node, func() error, error) {
	return nil, nil, errors.New("the image was opened")
}

// TestSecondQuestion: what is kept of an image answers with the same bytes as the image itself, without it being read. It does so to
// another question than the first, which was the summary.
func TestSecondQuestion(t *testing.T) {
	testimages.Long(t)
	ask := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		status := newApp(&out, &errs, unopened{}).run(t.Context(), append(args, "-q"))
		if status != command.OK {
			t.Errorf("%q: exit status %d: %s", args, status, errs.String())
		}
		return out.String()
	}
	dir := filepath.Join(os.Getenv("NODELENS_CACHE"), "reports")
	if ask("pods", "node.lime", "--no-cache"); exists(dir) {
		t.Error("--no-cache keeps something")
	}
	if ask("env", "node.lime", "--show-secrets"); exists(dir) {
		t.Error("--show-secrets has something kept")
	}
	ask("node.lime")
	kept, err := os.ReadDir(dir)
	if err != nil || len(kept) < 12 {
		t.Fatalf("%d parts of the report are kept, %v", len(kept), err)
	}
	for name, line := range golden {
		args := strings.Fields(line)
		if !strings.Contains(line, "node.lime") || strings.Contains(line, "--show-secrets") || opens[args[0]] {
			continue
		}
		if !testimages.Thorough() && !strings.HasSuffix(name, "json") { // which shows the most
			continue
		}
		if cold, warm := ask(append(args, "--no-cache")...), ask(args...); cold != warm {
			t.Errorf("%s: %s\nand from what was kept\n%s", name, cold, warm)
		}
	}
	for _, e := range kept {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets(t) {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds a secret of %d bytes", e.Name(), len(secret))
			}
		}
	}
}

// opens are the commands of golden that open the image.
var opens = map[string]bool{"mounts": true, "struct": true, "search": true, "ls": true}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// secrets returns values of environments of the bundled node that no other text has by chance.
func secrets(t *testing.T) (all []string) {
	t.Helper()
	err := newApp(os.Stdout, os.Stderr, shared{}).withSecrets(t.Context(), func(v *view) error {
		for i := range v.report.Processes {
			for _, s := range v.report.Processes[i].Env {
				if s.Value != nil && len(*s.Value) >= 12 && (strings.Contains(s.Name, "TOKEN") || strings.Contains(s.Name, "PASSWORD") || strings.Contains(s.Name, "SECRET") || strings.Contains(s.Name, "KEY")) {
					all = append(all, *s.Value)
				}
			}
			for _, s := range v.report.Processes[i].ArgSecrets {
				if s.Value != nil && len(*s.Value) >= 8 {
					all = append(all, *s.Value)
				}
			}
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d secrets on the node, %v", len(all), err)
	}
	return all
}

// withSecrets gives the report of the bundled node with its secrets to answer.
func (a *app) withSecrets(ctx context.Context, answer func(v *view) error) error {
	a.flags.Secrets = true
	return a.ask(ctx, "node.lime", 0, answer)
}
