package table

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/internal/nodetest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/variednode"
)

const asChild = "NODELENS_TABLE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		os.Exit(fleet.Child(context.Background(), &fleet.Analyser{Version: "test", Run: analyse}, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// analyse analyses an image; the file canaries is of a node all of whose names do harm.
func analyse(ctx context.Context, it fleet.Item) (*cos.NodeReport, *findings.Result, error) {
	if filepath.Base(it.URI) != "canaries" {
		r, err := cos.AnalyzeNode(ctx, cos.File(it.URI), &cos.Options{Sections: cos.SectionNetwork | cos.SectionModules | cos.SectionBPF | cos.SectionContainers})
		if err != nil {
			return nil, nil, err
		}
		found, err := findings.Run(ctx, findings.NewNode(r, nil), nil)
		return r, found, err
	}
	r := nodetest.Big(20, 300)
	found, err := findings.Run(ctx, findings.NewNode(r, nil), nil)
	nodetest.Poison(r)
	nodetest.Poison(found)
	return r, found, err
}

// made is a fleet that was analysed and converted.
type made struct {
	results *fleet.Results
	dir     string
	nodes   map[string]variednode.Node // by URI
	files   map[string]string          // of results, by URI
}

// makeFleet analyses a few images and converts their results.
func makeFleet(t *testing.T) *made {
	t.Helper()
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	base, err := variednode.Open(img.Path, variednode.Hostname)
	if err != nil {
		t.Fatal(err)
	}
	images := t.TempDir()
	f := &made{dir: filepath.Join(t.TempDir(), "tables"), nodes: map[string]variednode.Node{}, files: map[string]string{}}
	var m fleet.Manifest
	for _, i := range []int{0, 1, 3, 7} {
		n, err := base.Make(images, i)
		if err != nil {
			t.Fatal(err)
		}
		f.nodes[n.Path] = n
		m = append(m, fleet.Item{URI: n.Path, Labels: map[string]string{"cluster": fmt.Sprintf("c%d", i%2), "odd": "\\"}})
	}
	for _, name := range []string{"text", "canaries"} {
		path := filepath.Join(images, name)
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		m = append(m, fleet.Item{URI: path})
	}
	if f.results, err = fleet.OpenResults(filepath.Join(t.TempDir(), "results")); err != nil {
		t.Fatal(err)
	}
	r := &fleet.Runner{Command: []string{"/usr/bin/env", asChild + "=1", os.Args[0]}, Analyser: &fleet.Analyser{Version: "test"}, Results: f.results, Limits: fleet.Limits{Deadline: 5 * time.Minute}}
	if _, err := r.Run(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	sum, entries, errs := fleet.Summarize(m, f.results)
	if sum.Failed != 1 || sum.Silent != 0 || len(errs) != 0 {
		t.Fatalf("%v, %v", sum, errs)
	}
	for _, e := range entries {
		f.files[e.Item.URI] = e.File
	}
	if written, had, err := Convert(f.results, f.dir); err != nil || written != len(m) || had != 0 {
		t.Fatalf("%d written, %d had, %v", written, had, err)
	}
	return f
}

// rowsOf returns all rows of a table below a directory.
func rowsOf[T any](t *testing.T, dir, table string) []T {
	t.Helper()
	var all []T
	err := filepath.WalkDir(filepath.Join(dir, table), func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return eachRow(name, table, func(rows []T) error {
			all = append(all, slices.Clone(rows)...)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The tables say what the reports do, in text that every database takes, and the exact bytes where that is not them.
func TestTables(t *testing.T) {
	t.Parallel()
	f := makeFleet(t)
	t.Run("rows", f.testRows)
	t.Run("text", f.testText)
	t.Run("again", f.testAgain)
	t.Run("merge", f.testMerge)
	t.Run("duckdb", f.testDuckDB)
}

func (f *made) testRows(t *testing.T) {
	nodes := map[string]NodeRow{}
	for _, n := range rowsOf[NodeRow](t, f.dir, "nodes") {
		nodes[n.Item] = n
	}
	processes := map[string][]ProcessRow{}
	for _, p := range rowsOf[ProcessRow](t, f.dir, "processes") {
		processes[p.Item] = append(processes[p.Item], p)
	}
	counts := map[string]map[string]int{}
	count := func(table string, h Head) {
		if counts[h.Item] == nil {
			counts[h.Item] = map[string]int{}
		}
		counts[h.Item][table]++
	}
	for _, r := range rowsOf[SocketRow](t, f.dir, "sockets") {
		count("sockets", r.Head)
	}
	for _, r := range rowsOf[ModuleRow](t, f.dir, "modules") {
		count("modules", r.Head)
	}
	for _, r := range rowsOf[BPFRow](t, f.dir, "bpf_programs") {
		count("bpf", r.Head)
	}
	for _, r := range rowsOf[FindingRow](t, f.dir, "findings") {
		count("findings", r.Head)
	}
	for _, r := range rowsOf[GapRow](t, f.dir, "gaps") {
		count("gaps", r.Head)
	}
	for _, r := range rowsOf[PodRow](t, f.dir, "pods") {
		count("pods", r.Head)
	}
	for _, r := range rowsOf[ContainerRow](t, f.dir, "containers") {
		count("containers", r.Head)
	}
	for _, r := range rowsOf[DescriptorRow](t, f.dir, "descriptors") {
		count("descriptors", r.Head)
	}
	for uri, file := range f.files {
		head, report, found, err := fleet.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		n := nodes[uri]
		if n.Status != string(head.Status) || n.ImageDigest != head.Digest || n.Whole != (head.Status == fleet.Whole) {
			t.Errorf("%s: %+v", uri, n)
		}
		if report == nil {
			if n.Cause != string(fleet.CausePoison) || n.Reason == "" || n.CapturedAt != 0 {
				t.Errorf("%s: %+v", uri, n)
			}
			continue
		}
		if !time.UnixMicro(n.CapturedAt).Equal(report.Provenance.Captured.Truncate(time.Microsecond)) || unescape(n.Node, n.HostnameBytes) != report.Hostname {
			t.Errorf("%s: captured at %d, node %q %q; want %v, %q", uri, n.CapturedAt, n.Node, n.HostnameBytes, report.Provenance.Captured, report.Hostname)
		}
		if len(processes[uri]) != len(report.Processes) {
			t.Fatalf("%s: %d processes, want %d", uri, len(processes[uri]), len(report.Processes))
		}
		for i, p := range report.Processes {
			row := processes[uri][i]
			if row.PID != p.PID || unescape(row.Comm, row.CommBytes) != p.Comm || unescape(row.Exe, row.ExeBytes) != p.Exe || len(row.Args) != len(p.Args) || row.ImageDigest != head.Digest || row.Node != n.Node {
				t.Errorf("%s: %+v, want %+v", uri, row, p)
			}
			if row.ArgsBytes != nil && string(row.ArgsBytes) != strings.Join(p.Args, "\x00")+"\x00" || row.ArgsBytes == nil && !slices.Equal(row.Args, p.Args) {
				t.Errorf("%s: arguments %q, %q; want %q", uri, row.Args, row.ArgsBytes, p.Args)
			}
		}
		want := map[string]int{"pods": len(report.Pods), "findings": len(found.Findings), "gaps": len(report.Gaps) + len(found.NotChecked), "modules": len(report.Modules)}
		if report.Network != nil {
			want["sockets"] = len(report.Network.Sockets)
		}
		if report.BPF != nil {
			want["bpf"] = len(report.BPF.Programs)
		}
		for _, p := range report.Pods {
			want["containers"] += len(p.Containers)
		}
		for _, p := range report.Processes {
			want["descriptors"] += len(p.FDs)
		}
		for table, n := range want {
			if counts[uri][table] != n {
				t.Errorf("%s: %d rows of %s, want %d", uri, counts[uri][table], table, n)
			}
		}
	}
}

// unescape returns the bytes of a text.
func unescape(text string, exact []byte) string {
	if exact != nil {
		return string(exact)
	}
	return text
}

// testText holds all text of all tables to be UTF-8.
func (f *made) testText(t *testing.T) {
	check := func(rows any) {
		v := reflect.ValueOf(rows)
		if v.Len() == 0 {
			t.Errorf("no rows of %T", rows)
		}
		for i := range v.Len() {
			eachString(v.Index(i), func(s string) {
				if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
					t.Errorf("%T: %q", rows, s)
				}
			})
		}
	}
	check(rowsOf[NodeRow](t, f.dir, "nodes"))
	check(rowsOf[PodRow](t, f.dir, "pods"))
	check(rowsOf[ContainerRow](t, f.dir, "containers"))
	check(rowsOf[ProcessRow](t, f.dir, "processes"))
	check(rowsOf[DescriptorRow](t, f.dir, "descriptors"))
	check(rowsOf[SocketRow](t, f.dir, "sockets"))
	check(rowsOf[ModuleRow](t, f.dir, "modules"))
	check(rowsOf[BPFRow](t, f.dir, "bpf_programs"))
	check(rowsOf[FindingRow](t, f.dir, "findings"))
	check(rowsOf[GapRow](t, f.dir, "gaps"))
}

// eachString gives all strings of a row to use.
func eachString(v reflect.Value, use func(string)) {
	switch v.Kind() {
	case reflect.String:
		use(v.String())
	case reflect.Struct:
		for _, field := range v.Fields() {
			eachString(field, use)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			for i := range v.Len() {
				use(v.Index(i).String())
			}
		}
	}
}

// testAgain: what is there stays, a result that was replaced is converted again, and of an item there is one file a table.
func (f *made) testAgain(t *testing.T) {
	if written, had, err := Convert(f.results, f.dir); err != nil || written != 0 || had != len(f.files) {
		t.Errorf("%d written, %d had, %v", written, had, err)
	}
	var file string
	for uri := range f.files {
		if filepath.Base(uri) == "text" {
			file = f.files[uri]
		}
	}
	old := strings.TrimSuffix(filepath.Base(file), ".jsonl.zst")
	stale := path(f.dir, "processes", old[:17]+"0123")
	for _, err := range []error{os.WriteFile(stale, nil, 0o600), os.Chtimes(path(f.dir, "nodes", old), time.Unix(1, 0), time.Unix(1, 0))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if written, _, err := Convert(f.results, f.dir); err != nil || written != 1 {
		t.Errorf("%d written, %v", written, err)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the file of another result of the item is still there")
	}
}

// testMerge: the same rows in fewer files, by day and cluster.
func (f *made) testMerge(t *testing.T) {
	into := filepath.Join(t.TempDir(), "merged")
	if err := Merge(f.dir, into, nil); err != nil {
		t.Fatal(err)
	}
	if err := Merge(f.dir, into, nil); !errors.Is(err, ErrExists) {
		t.Errorf("into a directory that is there: %v", err)
	}
	sort := func(all []ProcessRow) []ProcessRow {
		slices.SortStableFunc(all, func(a, b ProcessRow) int { return strings.Compare(a.Item, b.Item) })
		return all
	}
	if d := cmp.Diff(sort(rowsOf[ProcessRow](t, f.dir, "processes")), sort(rowsOf[ProcessRow](t, into, "processes"))); d != "" {
		t.Errorf("(-apart +merged):\n%s", d)
	}
	var files []string
	err := filepath.WalkDir(filepath.Join(into, "nodes"), func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(name, into))
		}
		return err
	})
	want := []string{
		"/nodes/2026-11-21/cluster-c0/0000.parquet", "/nodes/2026-11-21/cluster-c1/0000.parquet",
		"/nodes/" + nodetest.Captured.Format(time.DateOnly) + "/unlabelled/0000.parquet", "/nodes/unknown/unlabelled/0000.parquet",
	}
	if d := cmp.Diff(want, files); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	small := filepath.Join(t.TempDir(), "small")
	if err := Merge(f.dir, small, &MergeOptions{FileBytes: 1}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sort(rowsOf[ProcessRow](t, into, "processes")), sort(rowsOf[ProcessRow](t, small, "processes"))); d != "" {
		t.Errorf("in small files (-big +small):\n%s", d)
	}
	for _, h := range []Head{{Cluster: ".."}, {Cluster: "a/../../b"}, {Cluster: "."}} {
		if p := place(h); strings.Count(p, "/") != 1 || strings.Contains(p, "..") {
			t.Errorf("cluster %q is at %s", h.Cluster, p)
		}
	}
	bad := path(f.dir, "nodes", "bad-0")
	if err := os.WriteFile(bad, []byte("PAR1 no table PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Merge(f.dir, filepath.Join(t.TempDir(), "x"), nil); !errors.Is(err, ErrSchema) {
		t.Errorf("with a file that is no table: %v", err)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
}

// testDuckDB: DuckDB reads the same, and answers the questions.
func (f *made) testDuckDB(t *testing.T) {
	python := os.Getenv("NODELENS_PYTHON")
	if python == "" {
		python = "python3"
	}
	if out, err := exec.Command(python, "-c", "import duckdb").CombinedOutput(); err != nil {
		t.Skipf("%s has no duckdb (pip install duckdb; NODELENS_PYTHON names another Python): %v %s", python, err, out)
	}
	merged := filepath.Join(t.TempDir(), "merged")
	if err := Merge(f.dir, merged, nil); err != nil {
		t.Fatal(err)
	}
	sql, err := filepath.Abs("sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{f.dir, merged} {
		cmd := exec.Command(python, filepath.Join(filepath.Dir(sql), "testdata", "ask.py"), sql)
		var out, errs bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		var said struct {
			Rows      map[string]int
			Processes [][]any
			Unknown   []string
			Binary    []string
			Address   []string
			Rare      []string
			BPF       int
			Changed   int
		}
		if err := json.Unmarshal(out.Bytes(), &said); err != nil {
			t.Fatal(err)
		}
		f.compare(t, said.Rows, said.Processes)
		if len(said.Unknown) != 2 && len(said.Unknown) != 3 {
			t.Errorf("not whole: %q", said.Unknown)
		}
		intruded := 0
		for _, file := range f.files {
			if _, report, _, err := fleet.Read(file); err == nil && report != nil && slices.ContainsFunc(report.Processes, func(p cos.Process) bool { return strings.HasPrefix(p.Exe, "/memfd:update") }) {
				intruded++
			}
		}
		if intruded < 3 || len(said.Binary) != intruded {
			t.Errorf("%d nodes ran the memfd, DuckDB says %q", intruded, said.Binary)
		}
		if len(said.Address) == 0 || len(said.Rare) == 0 || said.BPF == 0 {
			t.Errorf("address %q, rare %q, BPF %d", said.Address, said.Rare, said.BPF)
		}
	}
}

// compare holds what DuckDB read against what parquet-go reads.
func (f *made) compare(t *testing.T, rows map[string]int, processes [][]any) {
	t.Helper()
	var want, got []string
	for _, p := range rowsOf[ProcessRow](t, f.dir, "processes") {
		b, err := json.Marshal([]any{p.Item, p.PID, p.Node, p.Comm, fmt.Sprintf("%x", p.CommBytes), p.Args, p.Exe, p.CapturedAt, p.StartedAt, p.Whole})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(b))
	}
	for _, p := range processes {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("processes (-parquet-go +DuckDB):\n%s", d)
	}
	for table, n := range map[string]int{"nodes": len(rowsOf[NodeRow](t, f.dir, "nodes")), "sockets": len(rowsOf[SocketRow](t, f.dir, "sockets")), "findings": len(rowsOf[FindingRow](t, f.dir, "findings")), "gaps": len(rowsOf[GapRow](t, f.dir, "gaps"))} {
		if rows[table] != n {
			t.Errorf("DuckDB has %d rows of %s, parquet-go %d", rows[table], table, n)
		}
	}
}
