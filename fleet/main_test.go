package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// asChild has the test program be a child, and asPool a run of which a test kills the process.
const (
	asChild = "NODELENS_FLEET_CHILD"
	asPool  = "NODELENS_FLEET_POOL"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asChild) == "url":
		a := testAnalyser()
		a.Run = nil
		os.Exit(Child(context.Background(), a, os.Stdin, os.Stdout, os.Stderr))
	case os.Getenv(asChild) != "":
		os.Exit(Child(context.Background(), testAnalyser(), os.Stdin, os.Stdout, os.Stderr))
	case os.Getenv(asPool) != "":
		os.Exit(poolMain(os.Getenv(asPool)))
	}
	os.Exit(m.Run())
}

// testAnalyser analyses as the default does, but that a file which begins with "do: " says what is to go wrong.
func testAnalyser() *Analyser {
	a := &Analyser{Version: "test", Options: func(Item) *cos.Options { return &cos.Options{} }}
	a.Run = func(ctx context.Context, it Item) (*cos.NodeReport, *findings.Result, error) {
		text, err := os.ReadFile(it.Path())
		if err != nil {
			return nil, nil, err
		}
		if what, ok := strings.CutPrefix(string(text[:min(len(text), 100)]), "do: "); ok {
			return nil, nil, misbehave(strings.TrimSpace(what), it)
		}
		plain := *a
		plain.Run = nil
		return plain.run(ctx, it)
	}
	return a
}

var sink [][]byte

func misbehave(what string, it Item) error {
	switch what {
	case "panic":
		go func() { panic("\x1b[31mof this image") }()
		select {}
	case "allocate":
		for {
			b := make([]byte, 16<<20)
			for i := range b {
				b[i] = byte(i)
			}
			sink = append(sink, b)
		}
	case "hang":
		select {} // the reader of standard input keeps the runtime from calling it a deadlock
	case "spin":
		for n := 0; n >= 0; n++ {
			n &= 0xffff
		}
	case "grandchild":
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			return err
		}
		if err := os.WriteFile(it.Path()+".json", fmt.Append(nil, cmd.Process.Pid), 0o600); err != nil {
			return err
		}
		select {}
	case "kill":
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		return self.Kill()
	case "flaky": // the first two attempts fail
		n, _ := filepath.Glob(it.Path() + ".*.txt")
		if len(n) < 2 {
			return errors.Join(os.WriteFile(fmt.Sprintf("%s.%d.txt", it.Path(), len(n)), nil, 0o600), errors.New("not now"))
		}
		os.Exit(ExitPoison)
	}
	return errors.New("never")
}

// testRunner returns a runner whose children are this program.
func testRunner(t *testing.T, out string) *Runner {
	t.Helper()
	results, err := OpenResults(out)
	if err != nil {
		t.Fatal(err)
	}
	return &Runner{
		Command: []string{"/usr/bin/env", asChild + "=1", os.Args[0]}, Analyser: testAnalyser(), Results: results, Pause: time.Millisecond,
		Limits: Limits{Memory: testMemory(), CPU: time.Minute, Deadline: 2 * time.Minute},
	}
}

// testMemory is what a child gets, in bytes. Under the race detector that is no limit: its own memory is several times the program's.
func testMemory() int64 {
	if alloctest.Race {
		return 0
	}
	return 1 << 30
}

// write makes a file and returns its item.
func write(t *testing.T, dir, name, content string) Item {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Item{URI: path}
}

// bundled returns the item of the bundled node.
func bundled(t *testing.T) Item {
	t.Helper()
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	return Item{URI: path, Labels: map[string]string{"cluster": "lab"}}
}
