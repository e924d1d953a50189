package cos

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/vmem"
)

func TestReportJSON(t *testing.T) {
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(wholeJSON)); err != nil {
		t.Fatal(err)
	}
	r := wholeReport()
	for name, v := range map[string]any{"value": *r, "pointer": r, "inside": struct{ json.Marshaler }{r}} {
		got, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEmptyReportJSON(t *testing.T) {
	got, err := json.Marshal(new(NodeReport))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":"nodelens/node/v3","whole":true,"losses":[],` +
		`"provenance":{"image":null,"size":null,"format":null,"compression":null,"sha256":null,"sha256From":null,"etag":null,` +
		`"captured":null,"capturedFrom":null,"tool":null,"version":null,"arguments":[]},` +
		`"kernel":{"release":"","banner":"","pageTableLevels":0,"kaslrShift":"0x0","physBase":"0x0","root":"0x0","foundBy":null,"symbols":null},` +
		`"hostname":null,"bootTime":null,"pods":[],"processes":[],"consistency":null,"secrets":null,"secretKey":null,"gaps":[],"notes":[]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// gapsByCode compares gaps by all but the type of their errors.
var gapsByCode = cmp.Comparer(func(a, b vmem.Gap) bool {
	return a.Object == b.Object && a.Place == b.Place && a.Reason() == b.Reason() && a.Error() == b.Error()
})

// sameReport compares reports by what is in their JSON: what is not exported of the records of
// other packages is no part of it.
var sameReport = cmp.Options{
	gapsByCode, cmpopts.EquateComparable(netip.Addr{}, socket.Address{}),
	cmp.FilterPath(func(p cmp.Path) bool {
		field, ok := p.Last().(cmp.StructField)
		return ok && !token.IsExported(field.Name())
	}, cmp.Ignore()),
}

// checkRoundTrip reads the JSON of a report and compares.
func checkRoundTrip(t *testing.T, want *NodeReport) []byte {
	t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got NodeReport
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got, sameReport); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	again, err := json.Marshal(got)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("written again it differs: %v", err)
	}
	return text
}

func TestReportRoundTrip(t *testing.T) {
	checkRoundTrip(t, new(NodeReport))
	want := wholeReport()
	checkRoundTrip(t, want)
	var got NodeReport
	if err := json.Unmarshal([]byte(wholeJSON), &got); err != nil {
		t.Fatal(err)
	}
	for i, sentinel := range []error{kstruct.ErrCorrupt, vmem.ErrSwapped, nil, ErrConflict} {
		if sentinel != nil && !errors.Is(got.Gaps[i], sentinel) {
			t.Errorf("gap %d is not %v: %v", i, sentinel, got.Gaps[i])
		}
	}
	checkPart(t, want, want.Pods[0])
	checkPart(t, want, want.Pods[0].Containers[0])
	checkPart(t, want, want.Pods[0].Evidence[0])
	checkPart(t, want, want.Processes[0])
	checkPart(t, want, want.Processes[1])
	checkPart(t, want, want.Gaps[0])
	for _, empty := range []*NodeReport{{Modules: []Module{}}, {Log: []printk.Record{}}} {
		checkRoundTrip(t, empty) // a section that found nothing is there
	}
	checkPart(t, want, want.Consistency.Invariants[1])
}

// checkPart checks that a part of a report is written alone as in the report, and read back.
func checkPart[T any](t *testing.T, r *NodeReport, want T) {
	t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(r)
	if err != nil || !bytes.Contains(whole, text) {
		t.Errorf("not a part of the report: %s, %v", text, err)
	}
	var got T
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, sameReport); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestReportOfAnotherSchema(t *testing.T) {
	for text, want := range map[string]error{
		`{"schema":"nodelens/node/v1"}`: ErrSchema,
		`{"kernel":{}}`:                 ErrSchema,
		`{"schema":"nodelens/node/v3","later":[{}],"whole":true}`: nil,
	} {
		if err := json.Unmarshal([]byte(text), new(NodeReport)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	for _, text := range []string{`[]`, `{"schema":7}`, `{"schema":"nodelens/node/v3","processes":[{"pid":"7"}]}`, `{"schema":"nodelens/node/v3","hostname":"a","hostnameBytes":"/w=="}`} {
		if err := json.Unmarshal([]byte(text), new(NodeReport)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// strictly are parsers of JSON that take nothing but Unicode.
var strictly = map[string][]string{
	"python3": {"-c", "import json, sys; json.loads(open(sys.argv[1], 'rb').read().decode('utf-8', 'strict'))[0]['processes'][0]['comm'].encode('utf-8', 'strict')"},
	"jq":      {"-e", `.[0].processes[0].comm == "a\ufffd"`},
}

// TestStrictParsers has others read the report with all that can be odd in it.
func TestStrictParsers(t *testing.T) {
	text, err := json.Marshal([]*NodeReport{wholeReport()})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for program, args := range strictly {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skip(err)
			}
			if out, err := exec.CommandContext(t.Context(), program, append(slices.Clone(args), file)...).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func BenchmarkReportJSON(b *testing.B) {
	r := wholeReport()
	text, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := r.MarshalJSON(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if err := new(NodeReport).UnmarshalJSON(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// members adds the paths of what a JSON value holds to all: a[].b is member b of each
// element of a.
func members(all map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if !strings.HasSuffix(name, "Bytes") {
				members(all, strings.TrimPrefix(path+"."+name, "."), value)
			}
		}
	case []any:
		for _, value := range v {
			members(all, path+"[]", value)
		}
	default:
		all[path] = true
	}
}

// TestDocumented compares the members that docs/report.md describes with those of a report
// that has all.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(cell, "`")
			documented[name] = true
		}
	}
	var report any
	if err := json.Unmarshal([]byte(wholeJSON), &report); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	members(written, "", report)
	// The evidence of containers is described once, with that of pods.
	const ofContainer = "pods[].containers[].evidence[]"
	for path := range maps.Clone(written) {
		if inner, ok := strings.CutPrefix(path, ofContainer); ok {
			delete(written, path)
			if !documented["pods[].evidence[]"+inner] {
				t.Errorf("%s is not described", path)
			}
		}
	}
	written[ofContainer] = true
	for path := range maps.Clone(written) { // a text of the kernel's, as its command line
		if inner, ok := strings.CutPrefix(path, "kernel.settings."); ok && (strings.HasSuffix(inner, ".address") || strings.HasSuffix(inner, ".source")) && !documented[path] {
			delete(written, path)
		}
	}
	for path := range maps.Clone(written) { // by any name
		if strings.HasPrefix(path, "modules[].parameters.") {
			delete(written, path)
			written["modules[].parameters.NAME"] = true
		}
	}
	for path := range maps.Clone(written) { // as those of services
		if inner, ok := strings.CutPrefix(path, "network.pods[].hostPorts[]"); ok {
			delete(written, path)
			if !documented["network.pods[].services[]"+inner] {
				t.Errorf("%s is not described", path)
			}
		}
	}
	written["network.pods[].hostPorts[]"] = true
	// Records of other packages are described there, and here what most will ask for.
	for _, record := range []string{
		"network.namespaces[].devices[]", "network.namespaces[].addresses[]", "network.namespaces[].routes[]", "network.namespaces[].rules[]",
		"network.namespaces[].neighbours[]", "network.namespaces[].nftables[]", "network.namespaces[].hooks[]",
		"bpf.programs[]", "bpf.maps[]", "bpf.links[]", "bpf.btf[]", "bpf.cgroups[]", "bpf.trampolines[]", "bpf.images[]", "bpf.filters[]",
		"network.namespaces[].iptables[]", "network.namespaces[].ipsets[]", "network.namespaces[].ipvs[]", "network.sockets[]", "network.conntrack[]", "network.expectations[]", "network.sockets[].filter",
		"files.fileSystems[]", "files.nameless[]", "containers[].actual.cred", "containers[].actual.capabilities", "modules[]", "log[]", "security[]", "network.namespaces[].nftables[].chains[].rules[].extensions[]", "kernel.settings", "kernel.settings.binaryFormats[]", "kernel.settings.binfmtMisc[]",
	} {
		for path := range maps.Clone(written) {
			if strings.HasPrefix(path, record+".") && !documented[path] {
				delete(written, path)
			}
		}
		written[record] = true
	}
	if diff := cmp.Diff(written, documented); diff != "" {
		t.Errorf("members (-written +described):\n%s", diff)
	}
}

// FuzzReport reads anything: a report that is taken is written and read back the same.
func FuzzReport(f *testing.F) {
	f.Add([]byte(wholeJSON))
	f.Add([]byte(`{"schema":"nodelens/node/v3","processes":[{"ppid":null,"uid":7,"state":"S (sleeping)","sources":"PID IDR"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second NodeReport
		if json.Unmarshal(text, &first) != nil {
			return
		}
		written, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &second); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if diff := cmp.Diff(first, second, sameReport, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("read back (-first +second):\n%s", diff)
		}
	})
}
