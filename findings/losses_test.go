package findings

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/vmem"
)

// A loss concerns the sections that are made of what was lost, whatever else its object begins like.
func TestLossConcerns(t *testing.T) {
	for object, want := range map[string]loss{
		"file systems":                        {sections: cos.SectionFiles | cos.SectionContainers},
		"file in /proc/net":                   {sections: cos.SectionHooks},
		"security modules":                    {sections: cos.SectionKernel},
		"security of task 12 (sh)":            {sections: cos.SectionSecurity},
		"sysctl kernel/core_pattern":          {sections: cos.SectionKernel},
		"code of task 12 (sh)":                {sections: cos.SectionMemory},
		"code of BPF":                         {sections: cos.SectionHooks | cos.SectionBPF},
		"timers of task 12 (sh)":              {sections: cos.SectionSecurity},
		"descriptor 5 of task 12 (sh)":        {sections: cos.SectionNetwork | cos.SectionBPF, processes: true},
		"cgroup of a socket":                  {sections: cos.SectionNetwork},
		"cgroup of task 12 (sh)":              {processes: true},
		"kprobes":                             {sections: cos.SectionHooks | cos.SectionBPF},
		"open file 5 of task 12 (sh)":         {sections: cos.SectionMemory | cos.SectionSecurity, processes: true},
		"pod 11111111-2222":                   {processes: true},
		"something of a version to come":      {sections: cos.AllSections, processes: true},
		"/run/containerd/x/config.json":       {sections: cos.SectionContainers},
		"layers of containers":                {sections: cos.SectionContainers},
		"what container 1c has written":       {sections: cos.SectionContainers},
		"network devices of net:[4026531840]": {sections: cos.SectionNetwork},
	} {
		got := newLoss(&vmem.Gap{Object: object})
		if got.sections != want.sections || got.processes != want.processes {
			t.Errorf("%s: %v, processes %v; want %v, %v", object, got.sections, got.processes, want.sections, want.processes)
		}
	}
}

// Each beginning is that of an object which a package gives.
func TestLossesOf(t *testing.T) {
	var source strings.Builder
	for _, room := range []string{"linux", "cos", "image"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range lossesOf {
		if prefix := strings.TrimSuffix(l.prefix, " task"); !strings.Contains(source.String(), `"`+prefix) {
			t.Errorf("nothing gives an object that begins with %q", l.prefix)
		}
	}
}
