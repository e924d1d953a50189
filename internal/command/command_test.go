package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample returns a command with two flags.
func sample() (c *Command, loud *bool, name *string) {
	c = New("sample", "[IMAGE]")
	c.About, c.Examples, c.Statuses = "Says what is there.", []string{"sample node.lime"}, []string{"0  all is there"}
	return c, c.Flags.Bool("loud", false, "be loud"), c.Flags.String("name", "", "the `NAME`")
}

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		args, rest []string
		loud       bool
		name       string
	}{
		"nothing":        {},
		"before":         {args: []string{"-loud", "-name", "n", "a"}, rest: []string{"a"}, loud: true, name: "n"},
		"behind":         {args: []string{"a", "-loud", "-name=n"}, rest: []string{"a"}, loud: true, name: "n"},
		"between":        {args: []string{"a", "--loud", "b", "--name", "n", "c"}, rest: []string{"a", "b", "c"}, loud: true, name: "n"},
		"after a --":     {args: []string{"-loud", "a", "--", "-name", "--"}, rest: []string{"a", "-name", "--"}, loud: true},
		"standard input": {args: []string{"-", "-loud"}, rest: []string{"-"}, loud: true},
	} {
		c, loud, value := sample()
		rest, status, end := c.Parse(test.args, io.Discard, io.Discard)
		if diff := cmp.Diff(test.rest, rest); diff != "" || end || status != OK || *loud != test.loud || *value != test.name {
			t.Errorf("%s: %q, status %d, end %v, loud %v, name %q", name, rest, status, end, *loud, *value)
		}
	}
}

const help = `usage: sample [flags] [IMAGE]

Says what is there.

  sample node.lime

flags, before and after the rest:
  -loud
    	be loud
  -name NAME
    	the NAME
  -version
    	print the version

exit status:
  0  all is there
  2  called wrongly
  130  interrupted
`

func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"help":          {[]string{"a", "-h"}, OK, help, ""},
		"long help":     {[]string{"--help"}, OK, help, ""},
		"version":       {[]string{"-version", "a"}, OK, "sample " + Version() + "\n", ""},
		"unknown flag":  {[]string{"a", "-x\x1b"}, Usage, "", `sample: flag provided but not defined: -x\x1b` + "\nusage: sample [flags] [IMAGE]; sample -h says more\n"},
		"no value":      {[]string{"-name"}, Usage, "", "sample: flag needs an argument: -name\nusage: sample [flags] [IMAGE]; sample -h says more\n"},
		"not a boolean": {[]string{"-loud=x"}, Usage, "", "sample: invalid boolean value \"x\" for -loud: parse error\nusage: sample [flags] [IMAGE]; sample -h says more\n"},
	} {
		c, _, _ := sample()
		var stdout, stderr bytes.Buffer
		if _, status, end := c.Parse(test.args, &stdout, &stderr); status != test.status || !end {
			t.Errorf("%s: status %d, end %v", name, status, end)
		}
		if diff := cmp.Diff([]string{test.stdout, test.stderr}, []string{stdout.String(), stderr.String()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestHelpToNobody(t *testing.T) {
	c, _, _ := sample()
	var stderr bytes.Buffer
	if _, status, end := c.Parse([]string{"-h"}, broken{}, &stderr); status != Failed || !end || !strings.Contains(stderr.String(), "closed pipe") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

func TestIsWord(t *testing.T) {
	for s, want := range map[string]bool{"pslist": true, "pods": true, "": false, "node.lime": false, "./node": false, "a/b": false, `c:\node`: false, ".": false} {
		if got := IsWord(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// TestMain is the program that TestCheckOutput starts with other standard outputs.
func TestMain(m *testing.M) {
	if os.Getenv("CHECK_OUTPUT") == "" {
		os.Exit(m.Run())
	}
	if err := CheckOutput(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(Failed)
	}
	os.Exit(OK)
}

func TestCheckOutput(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to redirect with")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for redirection, want := range map[string]int{">&-": Failed, ">/dev/null": OK, "| cat": OK, ">/dev/full": OK, ">&2": OK, "<&- >/dev/null": OK} {
		cmd := exec.CommandContext(t.Context(), shell, "-c", `"$0" `+redirection, program)
		cmd.Env = append(os.Environ(), "CHECK_OUTPUT=1")
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || want != OK && (!ok || exit.ExitCode() != want) || want == OK && err != nil {
			t.Errorf("%s: %v, want status %d: %s", redirection, err, want, out)
		}
	}
}
