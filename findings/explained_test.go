package findings_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/testimages"
)

// expected are the findings above low of the images, and why they are there.
var expected = map[string]map[string]string{
	"bundled": {
		"net-disguised-listener shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748":  "the intruder",
		"net-known-backdoor-port shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748": "the intruder",
		"process-kernel-name shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748":     "the intruder",
		"process-memfd-program shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748":   "the intruder",
		"code-writable shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748":           "the intruder",
		"file-deleted-hidden shop/image-resizer-5d8c7b9f6-zt4hn container resizer PID 748":     "the intruder",
		"process-exec-shell batch/report-29406240-xq7vd container report PID 781":              "the lab's kubectl exec",
		"process-traced node PID 162":           "the lab's edge cases have one that is traced",
		"process-deleted-program node PID 171":  "the lab's edge cases have a program that was deleted",
		"process-unprintable-name node PID 173": "the lab's edge cases have odd names",
		"process-unprintable-name node PID 175": "the lab's edge cases have odd names",
		"process-unprintable-name node PID 176": "the lab's edge cases have odd names",
		"net-packet-socket node PID 179":        "the lab's edge cases have a socket of each family",
	},
	"s-6.1": {
		"net-disguised-listener payments/miner-abc12 container main PID 765":  "the intruder",
		"net-known-backdoor-port payments/miner-abc12 container main PID 765": "the intruder",
		"process-kernel-name payments/miner-abc12 container main PID 765":     "the intruder",
		"process-memfd-program payments/miner-abc12 container main PID 765":   "the intruder",
		"code-writable payments/miner-abc12 container main PID 765":           "the intruder",
		"pod-host-process-namespace security/memory-capture container avml":   "the capture's pod sees the node",
		"pod-host-network security/memory-capture container avml":             "the capture's pod sees the node",
		"pod-privileged security/memory-capture container avml":               "the capture's pod sees the node",
		"kernel-unsigned-module node":                                         "LiME's module took the image",
		"kernel-log-unsigned-module node":                                     "LiME's module took the image",
	},
	"s-6.12-la57": {
		"net-disguised-listener payments/miner-abc12 container main PID 813":  "the intruder",
		"net-known-backdoor-port payments/miner-abc12 container main PID 813": "the intruder",
		"process-kernel-name payments/miner-abc12 container main PID 813":     "the intruder",
		"process-memfd-program payments/miner-abc12 container main PID 813":   "the intruder",
		"code-writable payments/miner-abc12 container main PID 813":           "the intruder",
		"pod-host-process-namespace security/memory-capture container avml":   "the capture's pod sees the node",
		"pod-host-network security/memory-capture container avml":             "the capture's pod sees the node",
		"pod-privileged security/memory-capture container avml":               "the capture's pod sees the node",
	},
}

// serious are the findings above low, by rule and subject.
func serious(r *findings.Result) map[string]bool {
	all := map[string]bool{}
	for _, f := range r.Findings {
		if f.Severity > findings.Low {
			all[fmt.Sprintf("%s %v", f.Rule, f.Subject)] = true
		}
	}
	return all
}

// Everything above low in the images of real nodes is explained here by name, and what is explained here is found.
func TestExplained(t *testing.T) {
	results := map[string]*findings.Result{"bundled": runBundled(t)}
	if testimages.Have() {
		for _, img := range testimages.All(t) {
			if expected[img.Name] != nil {
				results[img.Name] = runImage(t, img.Path)
			}
		}
	}
	for name, r := range results {
		got := serious(r)
		for finding := range got {
			if expected[name][finding] == "" {
				t.Errorf("%s: not explained: %s", name, finding)
			}
		}
		for finding, why := range expected[name] {
			if !got[finding] {
				t.Errorf("%s: not found: %s, %s", name, finding, why)
			}
		}
	}
}

// An image that was cut off has no findings above low that the whole one has not: what is missing is no sign of hiding.
func TestCutOff(t *testing.T) {
	testimages.Long(t)
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	whole := serious(runBundled(t))
	parts := []int64{75}
	if testimages.Thorough() {
		parts = []int64{65, 70, 80, 90, 95}
	}
	for _, percent := range parts {
		t.Run(fmt.Sprintf("%d percent", percent), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "node.lime")
			if err := copyPart(name, img.Path, percent); err != nil {
				t.Fatal(err)
			}
			r := runImage(t, name)
			for f := range serious(r) {
				known := whole[f]
				for w := range whole { // the pod may not be known any more
					known = known || samePID(w, f)
				}
				if !known {
					t.Errorf("found where the image is cut off: %s", f)
				}
			}
			if len(r.NotChecked) == 0 {
				t.Error("nothing says that it could not be checked")
			}
		})
	}
}

// samePID reports whether two findings are of the same rule and process.
func samePID(a, b string) bool {
	var ruleA, ruleB string
	if _, err := fmt.Sscan(a, &ruleA); err != nil {
		return false
	}
	if _, err := fmt.Sscan(b, &ruleB); err != nil {
		return false
	}
	return ruleA == ruleB && lastWord(a) == lastWord(b)
}

func lastWord(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == ' ' {
			return s[i+1:]
		}
	}
	return s
}

// copyPart writes the first part of a file.
func copyPart(to, from string, percent int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(out, in, info.Size()*percent/100); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
