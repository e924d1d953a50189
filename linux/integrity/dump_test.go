package integrity

import (
	"fmt"
	"os"
	"testing"
)

func TestDump(t *testing.T) {
	want := os.Getenv("DUMP")
	if want == "" {
		t.Skip()
	}
	eachNode(t, func(t *testing.T, n *node) {
		for _, h := range n.hooks {
			if want == "all" || h.Table == want || want == "suspect" && h.Suspect {
				fmt.Println(h)
			}
		}
		for _, e := range n.gaps {
			fmt.Println("GAP", e)
		}
	})
}
