package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/testimages"
)

// call runs the command on an image.
func call(t *testing.T, image string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append(args, image), &out, &errs)
	return status, out.String(), errs.String()
}

func TestKstruct(t *testing.T) {
	t.Setenv("NODELENS_CACHE", t.TempDir())
	plain, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		status int
		stdout string
		stderr string // is in it
	}{
		{"a variable's member", []string{"init_uts_ns.name.nodename"}, 0, "name.nodename = (char [65])\"gke-prod-default-pool-6f3c2a91-v4kd\"\n", ""},
		{"members", []string{"-no-types", "init_task.comm,real_cred->uid,pid"}, 0, "comm = \"swapper/0\"\nreal_cred->uid = {\n\t.val = 0,\n}\npid = 0\n", ""},
		{"a type at an address", []string{"struct list_head", "0xffffffff9d21a9a0", "-depth", "1", "-no-types"}, 0, "", ""},
		{"per CPU", []string{"-cpu", "1", "-no-types", "runqueues.cpu"}, 0, "cpu = 1\n", ""},
		{"per-CPU without a CPU", []string{"runqueues.cpu"}, command.Failed, "", "per-CPU variable"},
		{"no such member", []string{"-no-types", "init_task.pid,nosuch"}, exitNotWhole, "", "struct task_struct has no field nosuch"},
		{"no such variable", []string{"nosuch"}, command.Failed, "", "no symbol nosuch"},
		{"not in the image", []string{"-no-types", "int", "1000"}, exitNotWhole, "<not present>\n", "not present"},
		{"no address", []string{"int", "xyz"}, command.Usage, "", `"xyz" is no hexadecimal address`},
		{"both", []string{"-cpu", "1", "int", "1000"}, command.Usage, "", "-cpu is for variables"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args, image := tt.args, plain.Path // of which all but the second take the symbols
			if i == 1 {
				args, image = append([]string{"-isf", packed.ISF}, args...), packed.Path
			}
			status, stdout, stderr := call(t, image, args...)
			if status != tt.status || !strings.Contains(stderr, tt.stderr) || status == 0 && stderr != "" {
				t.Errorf("exit status %d, want %d; standard error: %s", status, tt.status, stderr)
			}
			if d := cmp.Diff(tt.stdout, stdout); d != "" && tt.stdout != "" {
				t.Errorf("standard output (-want +got):\n%s", d)
			}
		})
	}
}
