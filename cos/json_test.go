package cos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

var stringTests = []struct{ bytes, json string }{
	{"", `""`},
	{"plain", `"plain"`},
	{`quote " and \`, `"quote \" and \\"`},
	{"\x00\t\n\x1b\x1f\x7f", `"\u0000\u0009\u000a\u001b\u001f` + "\x7f\""},
	{"</script>&", `"</script>&"`},
	{"é€😀\u2028\ufffd", "\"é€😀\u2028\ufffd\""},
	{"\x80\xff", `"\udc80\udcff"`},
	{"a\xe9b", `"a\udce9b"`},                                               // Latin-1
	{"\xe2\x82", `"\udce2\udc82"`},                                         // cut off
	{"\xc0\xaf", `"\udcc0\udcaf"`},                                         // overlong
	{"\xed\xa0\x80\xed\xb2\x80", `"\udced\udca0\udc80\udced\udcb2\udc80"`}, // encoded surrogates
	{"\xf4\x90\x80\x80", `"\udcf4\udc90\udc80\udc80"`},                     // beyond Unicode
}

func TestJSONString(t *testing.T) {
	for _, test := range stringTests {
		var w jsonWriter
		w.string(test.bytes)
		if got := string(w.b); got != test.json {
			t.Errorf("%q: %s, want %s", test.bytes, got, test.json)
		}
	}
}

// pythonDecode reads a JSON array of strings and a file of their bytes, in
// hexadecimal on a line each, and says which differ, as PEP 383 has it.
const pythonDecode = `
import json, sys
strings = json.load(open(sys.argv[1], encoding="utf-8"))
wanted = [bytes.fromhex(line) for line in open(sys.argv[2])]
assert len(strings) == len(wanted), (len(strings), len(wanted))
for s, w in zip(strings, wanted):
    assert s.encode("utf-8", "surrogateescape") == w, (s, w)
`

// TestJSONStringInPython has Python decode all strings of the table, all bytes, and
// all pairs of bytes.
func TestJSONStringInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to decode with")
	}
	var raw []string
	for _, test := range stringTests {
		raw = append(raw, test.bytes)
	}
	for a := range 256 {
		for b := range 256 {
			raw = append(raw, "x"+string([]byte{byte(a), byte(b)})+"y")
		}
	}
	var w jsonWriter
	w.raw("[")
	var wanted []byte
	for _, s := range raw {
		w.comma()
		w.string(s)
		wanted = fmt.Appendf(wanted, "%x\n", s)
	}
	w.raw("]")
	decode(t, python, w.b, wanted)
}

func decode(t *testing.T, python string, text, wanted []byte) {
	t.Helper()
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "json"), filepath.Join(dir, "wanted")}
	for i, data := range [][]byte{text, wanted} {
		if err := os.WriteFile(files[i], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), python, append([]string{"-c", pythonDecode}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// wholeReport has every field set, and one process that has nothing.
func wholeReport() *NodeReport {
	at := time.Date(2026, 11, 21, 1, 49, 10, 5, time.FixedZone("", 3600))
	return &NodeReport{
		Kernel:   Kernel{Release: "6.1.0", Banner: "Linux version 6.1.0", PageTableLevels: 5, KASLRShift: 0x18000000, PhysBase: -0xc00000, Symbols: "vmlinux"},
		Hostname: "node", BootTime: at,
		Pods: []Pod{
			{UID: "u", QoS: Burstable, Namespace: "n", Name: "p", SandboxID: "s",
				Containers: []Container{{ID: "i", Name: "c", Image: "m", PIDs: []int32{7, 8}, Evidence: []Evidence{{"name", "c", FromMount, 7}}}},
				Evidence:   []Evidence{{"name", "p", HintUTSName, 7}}},
			{UID: "v", Containers: []Container{{}}},
		},
		Processes: []Process{
			{PID: 7, PPID: 1, Comm: "a\xff", Args: []string{"a\xff", ""}, Env: []string{"B=1"}, Exe: "/a", Cwd: "/", State: linux.Sleeping,
				Cred: &linux.Cred{UID: 1, EUID: 2, GID: 3, EGID: 4294967295}, StartTime: at, Threads: []Thread{{7, "a\xff", at}, {TID: 9, Comm: "t"}},
				Cgroup: "/x", Cgroups: []linux.CgroupPath{{Hierarchy: 1, Controllers: "cpu", Path: "/x"}, {Path: "/"}}, PodUID: "u", ContainerID: "i",
				Namespaces: linux.Namespaces{PID: 1, Net: 2, Mnt: 3, UTS: 4, IPC: 5, User: 6, Cgroup: 7, Time: 4026531834}, NamespacedPIDs: []int32{7, 1},
				FDs: []linux.FD{{FD: 0, Path: "/dev/null"}, {FD: 3}}, Sources: linux.InTaskList | linux.InPIDIDR, Address: 0xffff888000000000},
			{PID: 8, PPID: -1, State: linux.Zombie, KernelThread: true},
		},
		Gaps:  []vmem.Gap{{Object: "task list", Place: vmem.KernelPlace(0x10), Err: errors.New("broke \"off\"")}},
		Notes: []string{"of \xff"},
	}
}

const wholeJSON = `{
 "schema": "nodelens/node/v1",
 "kernel": {"release": "6.1.0", "banner": "Linux version 6.1.0", "pageTableLevels": 5, "kaslrShift": "0x18000000", "physBase": "-0xc00000", "symbols": "vmlinux"},
 "hostname": "node", "bootTime": "2026-11-21T00:49:10.000000005Z",
 "pods": [
  {"uid": "u", "qos": "burstable", "namespace": "n", "name": "p", "sandboxID": "s",
   "containers": [{"id": "i", "name": "c", "pids": [7, 8], "image": "m", "evidence": [{"field": "name", "value": "c", "source": "mount", "hint": false, "pid": 7}]}],
   "evidence": [{"field": "name", "value": "p", "source": "uts-name", "hint": true, "pid": 7}]},
  {"uid": "v", "qos": null, "namespace": null, "name": null, "sandboxID": null,
   "containers": [{"id": null, "name": null, "pids": [], "image": null, "evidence": []}], "evidence": []}
 ],
 "processes": [
  {"pid": 7, "ppid": 1, "comm": "a\udcff", "args": ["a\udcff", ""], "env": ["B=1"], "exe": "/a", "cwd": "/", "state": "S (sleeping)", "kernelThread": false,
   "uid": 1, "gid": 3, "euid": 2, "egid": 4294967295, "startTime": "2026-11-21T00:49:10.000000005Z",
   "threads": [{"tid": 7, "comm": "a\udcff", "startTime": "2026-11-21T00:49:10.000000005Z"}, {"tid": 9, "comm": "t", "startTime": null}],
   "cgroup": "/x", "podUID": "u", "containerID": "i",
   "cgroups": [{"hierarchy": 1, "controllers": "cpu", "path": "/x"}, {"hierarchy": 0, "controllers": "", "path": "/"}],
   "namespaces": {"pid": 1, "net": 2, "mnt": 3, "uts": 4, "ipc": 5, "user": 6, "cgroup": 7, "time": 4026531834}, "namespacedPIDs": [7, 1],
   "fds": [{"fd": 0, "path": "/dev/null"}, {"fd": 3, "path": null}], "address": "0xffff888000000000", "sources": "task list+PID IDR"},
  {"pid": 8, "ppid": null, "comm": "", "args": [], "env": [], "exe": null, "cwd": null, "state": "Z (zombie)", "kernelThread": true,
   "uid": null, "gid": null, "euid": null, "egid": null, "startTime": null, "threads": [],
   "cgroup": null, "podUID": null, "containerID": null,
   "namespaces": {"pid": null, "net": null, "mnt": null, "uts": null, "ipc": null, "user": null, "cgroup": null, "time": null}, "namespacedPIDs": [],
   "fds": [], "address": "0x0", "sources": "none"}
 ],
 "gaps": [{"object": "task list", "place": "kernel", "address": "0x10", "reason": "other", "error": "broke \"off\""}],
 "notes": ["of \udcff"]
}`

func TestReportJSON(t *testing.T) {
	got, err := wholeReport().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(wholeJSON)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestEmptyReportJSON(t *testing.T) {
	got, err := json.Marshal(new(NodeReport))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":"nodelens/node/v1",` +
		`"kernel":{"release":"","banner":"","pageTableLevels":0,"kaslrShift":"0x0","physBase":"0x0","symbols":null},` +
		`"hostname":null,"bootTime":null,"pods":[],"processes":[],"gaps":[],"notes":[]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func FuzzJSONString(f *testing.F) {
	for _, test := range stringTests {
		f.Add(test.bytes)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var w jsonWriter
		w.string(s)
		if !json.Valid(w.b) {
			t.Fatalf("%q: not JSON: %s", s, w.b)
		}
	})
}

func BenchmarkReportJSON(b *testing.B) {
	r := wholeReport()
	text, err := r.MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := r.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}
