package command

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The build ID is the one that the go command says.
func TestBuildID(t *testing.T) {
	t.Parallel()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "buildid", name).Output()
	if err != nil {
		t.Skipf("no go command to compare with: %v", err)
	}
	if got, want := string(buildID()), strings.TrimSpace(string(out)); got != want || got == "" {
		t.Errorf("%q, want %q", got, want)
	}
	if first, second := Build(), Build(); first == "" || first != second {
		t.Errorf("%q, then %q", first, second)
	}
}
