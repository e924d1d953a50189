package cos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkMaps compares the mappings of the report with what /proc said of them.
func checkMaps(t *testing.T, dir string, r *NodeReport) {
	t.Helper()
	same, mappings, inPods := 0, 0, 0
	for i := range r.Maps {
		p := &r.Maps[i]
		maps, err := os.ReadFile(filepath.Join(dir, "pid", fmt.Sprint(p.PID), "maps"))
		if err != nil || strings.Contains(string(maps), "/usr/local/bin/labnode") {
			continue // it came since, or ran on
		}
		lines := strings.Split(strings.TrimSuffix(string(maps), "\n"), "\n")
		if len(lines) != len(p.Mappings) {
			continue // likewise
		}
		for k, m := range p.Mappings {
			want := fmt.Sprintf("%08x-%08x %s %08x %02x:%02x %d ", uint64(m.Start), uint64(m.End), m.Flags, m.Offset, m.Major, m.Minor, m.Inode)
			if !strings.HasPrefix(lines[k], want) || !strings.HasSuffix(lines[k], strings.ReplaceAll(m.Path, "\n", `\012`)) {
				t.Errorf("process %d: %s%s, by /proc %s", p.PID, want, m.Path, lines[k])
			}
			mappings++
			if m.Usage.Size != uint64(m.End-m.Start) || m.Usage.RSS > m.Usage.Size || len(m.VMFlags) == 0 {
				t.Errorf("process %d: %+v", p.PID, m)
			}
		}
		if same++; p.PodUID != "" {
			inPods++
		}
	}
	if same < 50 || mappings < 1000 || inPods < 5 {
		t.Errorf("%d processes compared, %d of them in pods, with %d mappings", same, inPods, mappings)
	}
}
