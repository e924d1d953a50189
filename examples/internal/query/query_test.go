package query

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := map[string]Query{
		"init_task":                      {root: "init_task"},
		"init_task.comm":                 {root: "init_task", members: []string{"comm"}},
		"struct cred.uid.val,gid":        {root: "struct cred", members: []string{"uid.val", "gid"}},
		"struct cred *->uid":             {root: "struct cred *", members: []string{"->uid"}},
		"char [4]":                       {root: "char [4]"},
		"task_struct.real_cred->uid.val": {root: "task_struct", members: []string{"real_cred->uid.val"}},
	}
	for arg, want := range tests {
		if d := cmp.Diff(want, Parse(arg), cmp.AllowUnexported(Query{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", arg, d)
		}
	}
}
