package cos

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
)

// A plant is bytes of the image, and what they are overwritten with, of the same length: a canary is in it.
type plant struct{ was, is, canary string }

// canaryOf is a text of a length that is in no image.
func canaryOf(of string, n int) string {
	sum := sha256.Sum256([]byte(of))
	return ("Canary" + hex.EncodeToString(sum[:]))[:n]
}

// plants are the values that pods of the bundled node were given in secret, and others in places of secrets.
func plants(t *testing.T, truth string) (all []plant) {
	t.Helper()
	for _, p := range createdPods(t, truth) {
		for _, c := range p.Pod.Containers {
			for _, v := range c.Env {
				if len(v) >= 10 {
					all = append(all, plant{v, canaryOf(v, len(v)), canaryOf(v, len(v))})
				}
			}
		}
	}
	for was, is := range map[string]string{
		"lab-token-of-":                            "#", // tokens in projected volumes
		"--cluster-cidr=10.88.0.0/14":              "--cluster-pass=#",
		"sandbox-log-directory\":\"/var/log/pods/": "sandbox-log-api-token\":\"#", // an annotation
		"SYSTEMD_EXEC_PID=":                        "SYSTEMD_EXEC_PID=",           // names stay
	} {
		before := strings.TrimSuffix(is, "#")
		canary := canaryOf(was, len(was)-len(before))
		all = append(all, plant{was, before + canary, canary})
	}
	return all
}

// sow overwrites all of memory's plants, and returns how often each was there.
func sow(t *testing.T, m *smeartest.Memory, mem vmem.Memory, all []plant) map[string]int {
	t.Helper()
	const window, overlap = 1 << 20, 256
	found := map[string]int{}
	buf := make([]byte, window+overlap)
	for _, r := range mem.Ranges() {
		for at := uint64(0); at < r.Size; at += window {
			n, err := mem.ReadAt(buf[:min(window+overlap, r.Size-at)], int64(uint64(r.Start)+at))
			if err != nil && err != io.EOF { //nolint:errorlint // as an io.ReaderAt says it
				t.Fatal(err)
			}
			for _, p := range all {
				for from := 0; ; {
					i := bytes.Index(buf[from:n], []byte(p.was))
					if i < 0 || from+i >= window {
						break
					}
					m.Write(r.Start+vmem.PhysAddr(at)+vmem.PhysAddr(from+i), []byte(p.is))
					found[p.was]++
					from += i + len(p.was)
				}
			}
		}
	}
	return found
}

// TestCanaries plants canaries wherever the bundled node has a secret, and looks for them in a report with all
// sections: there is none, in no form, unless secrets are asked for.
func TestCanaries(t *testing.T) {
	img := bundled(t)
	symbols := symbolsOf(t, img)
	f, err := image.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := plants(t, img.Truth)
	m := smeartest.New(f.Memory)
	found := sow(t, m, f.Memory, all)
	texts := map[bool]string{}
	for show, sections := range map[bool]Sections{false: AllSections, true: SectionContainers} {
		r, err := AnalyzeNode(t.Context(), Memory(m), &Options{Symbols: symbols, Sections: sections, Secrets: show})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Whole() {
			t.Errorf("the canaries broke something: %v", r.Gaps[0])
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		texts[show] = string(text)
	}
	for _, p := range all {
		if found[p.was] == 0 {
			t.Errorf("%q is not in the image", p.was)
		}
		if p.canary == "" {
			continue
		}
		for _, form := range []string{p.canary, hex.EncodeToString([]byte(p.canary)), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(p.canary)), "=")[:8]} {
			if strings.Contains(texts[false], form) {
				t.Errorf("the canary for %q is in the report as %q", p.was, form)
			}
		}
		if shown := strings.Contains(texts[true], p.canary); shown == strings.HasPrefix(p.was, "lab-token-of-") { // contents of files are in no report
			t.Errorf("the canary for %q is in the report that shows secrets: %v", p.was, shown)
		}
	}
	if !strings.Contains(texts[false], "SYSTEMD_EXEC_PID") || !strings.Contains(texts[false], "--cluster-pass=[hidden]") {
		t.Error("names are hidden, too")
	}
}
