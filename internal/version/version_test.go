package version

import (
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	other := debug.Module{Path: "example.org/program", Version: "v9.0.0"}
	tests := map[string]struct {
		info     debug.BuildInfo
		released string
		want     string
	}{
		"ours":           {debug.BuildInfo{Main: debug.Module{Path: Path, Version: "v1.2.3"}}, "", "v1.2.3"},
		"ours, released": {debug.BuildInfo{Main: debug.Module{Path: Path, Version: "(devel)"}}, "v1.2.3", "v1.2.3"},
		"another's":      {debug.BuildInfo{Main: other, Deps: []*debug.Module{{Path: "example.org/a", Version: "v2.0.0"}, {Path: Path, Version: "v1.2.3"}}}, "", "v1.2.3"},
		"without us":     {debug.BuildInfo{Main: other}, "", ""},
	}
	for name, test := range tests {
		if got := of(&test.info, test.released); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestModule: a test is a program of this module.
func TestModule(t *testing.T) {
	if tool, _ := Module(); tool != Path+"/internal/version.test" {
		t.Errorf("the program is %q", tool)
	}
}
