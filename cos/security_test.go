package cos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/linux/process"
)

// checkSecurity compares what the report says that processes may do with what /proc said, and that it says of the intruder alone that
// there is something highly suspicious in its memory, and whose pod that is of.
func checkSecurity(t *testing.T, dir string, r *NodeReport) {
	t.Helper()
	same := 0
	for i := range r.Security {
		s := &r.Security[i]
		status, err := os.ReadFile(filepath.Join(dir, "pid", fmt.Sprint(s.PID), "status"))
		if err != nil {
			continue // it came since
		}
		for _, want := range []string{
			"CapEff:\t" + s.Effective.String(), "CapBnd:\t" + s.Bounding.String(), fmt.Sprintf("NoNewPrivs:\t%d", map[bool]int{true: 1}[s.NoNewPrivs]),
			fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d", s.UID, s.EUID, s.SUID, s.FSUID), fmt.Sprintf("Seccomp_filters:\t%d", len(s.Seccomp.Filters)),
		} {
			if !strings.Contains(string(status), want+"\n") {
				t.Errorf("process %d: %q is not in its status", s.PID, want)
			}
		}
		same++
	}
	if same < 100 || len(r.Security) != len(r.Processes) {
		t.Errorf("%d processes of %d compared, %d in the report", same, len(r.Security), len(r.Processes))
	}
	high := map[string]int{}
	for i := range r.Memory {
		if m := &r.Memory[i]; m.Level == memory.High {
			high[fmt.Sprintf("%d %s", m.PID, m.PodUID)]++
		}
	}
	for i := range r.Processes {
		if p := &r.Processes[i]; p.Comm == "kworker/u4:2" && p.PodUID != "" {
			key := fmt.Sprintf("%d %s", p.PID, p.PodUID)
			if high[key] < 3 {
				t.Errorf("%d findings of the intruder", high[key])
			}
			delete(high, key)
		}
	}
	if len(high) > 0 {
		t.Errorf("findings of others: %v", high)
	}
}

// TestHideKeys: what keys hold is not told of a process nor of its threads, but how much it is.
func TestHideKeys(t *testing.T) {
	rings := func() process.Keyrings {
		return process.Keyrings{Keys: []process.Key{{Description: "d", Payload: "c0ffee", PayloadSize: 3}}}
	}
	s := ProcessSecurity{Security: process.Security{Keyrings: rings()}, Threads: []ThreadSecurity{{Security: process.Security{Keyrings: rings()}}}}
	s.hideKeys(&sealer{key: []byte("k")})
	for _, k := range []process.Key{s.Keyrings.Keys[0], s.Threads[0].Keyrings.Keys[0]} {
		// printf '\xc0\xff\xee' | openssl dgst -sha256 -hmac k
		if k.Payload != "" || k.PayloadSize != 3 || k.Description != "d" || k.PayloadDigest != "1d1e5d7f081b67d386bd0b01" {
			t.Errorf("%+v", k)
		}
	}
}
