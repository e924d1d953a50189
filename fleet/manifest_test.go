package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadManifest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "m", `{"uri":"a.lime","labels":{"cluster":"c"}}
{"uri":"/abs/b.lime","isf":"b.json","raw":true}
{"uri":"https://user:pw@h/b.lime?sig=x"}
{"uri":"file:///x%ff"}
{"uri":"/proc/kcore","as":"node-a"}
{"uri":"/proc/kcore","as":"node-b"}`)
	got, err := ReadManifest(filepath.Join(dir, "m"))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		{URI: filepath.Join(dir, "a.lime"), As: "a.lime", Labels: map[string]string{"cluster": "c"}},
		{URI: "/abs/b.lime", ISF: filepath.Join(dir, "b.json"), Raw: true},
		{URI: "https://user:pw@h/b.lime?sig=x"}, {URI: "file:///x%ff"},
		{URI: "/proc/kcore", As: "node-a"}, {URI: "/proc/kcore", As: "node-b"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n, p := got[2].Name(), got[3].Path(); n != "https://h/b.lime" || p != "/x\xff" {
		t.Errorf("name %q, path %q", n, p)
	}
	var b strings.Builder
	if err := got.Write(&b); err != nil {
		t.Fatal(err)
	}
	if again, err := parseManifest(strings.NewReader(b.String())); err != nil || cmp.Diff(got, again) != "" {
		t.Errorf("written and read: %v, %v", again, err)
	}
}

func TestManifestRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{}", "\n", "no", `{"uri":"a"}` + "\n\n" + `{"uri":"b"}`, `{"uri":"a"}` + "\n" + `{"uri":"a"}`, `{"url":"a"}`, `{"uri":"a"} {"uri":"b"}`, `{"uri":1}`,
		`{"uri":"http://h/a?sig=1"}` + "\n" + `{"uri":"http://h/a?sig=2"}`, `{"uri":"` + strings.Repeat("a", maxLine) + `"}`,
	} {
		if m, err := parseManifest(strings.NewReader(text)); !errors.Is(err, ErrManifest) {
			t.Errorf("%.40q gives %v, %v", text, m, err)
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b.lime", "a\xff.lime", "b.lime.manifest.json", ".hidden", "README.md", "sub/c.elf"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range m {
		if _, err := os.Stat(it.Path()); err != nil {
			t.Error(err)
		}
		got = append(got, strings.TrimPrefix(it.URI, dir))
	}
	if d := cmp.Diff([]string{"file://" + dir + "/a%FF.lime", "/b.lime", "/sub/c.elf"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEnvironmentIndex(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		env  map[string]string
		want int
		err  error
	}{
		{map[string]string{"JOB_COMPLETION_INDEX": "7"}, 7, nil},
		{map[string]string{"BATCH_TASK_INDEX": "0", "JOB_COMPLETION_INDEX": ""}, 0, nil},
		{map[string]string{"AWS_BATCH_JOB_ARRAY_INDEX": "12", "SLURM_ARRAY_TASK_ID": "12"}, 12, nil},
		{map[string]string{"SLURM_ARRAY_TASK_ID": "3", "BATCH_TASK_INDEX": "4"}, 0, ErrIndex},
		{map[string]string{"SLURM_ARRAY_TASK_ID": "-1"}, 0, ErrIndex},
		{map[string]string{"SLURM_ARRAY_TASK_ID": "x"}, 0, ErrIndex},
		{nil, 0, ErrNoIndex},
	} {
		got, err := EnvironmentIndex(func(name string) (string, bool) { v, ok := test.env[name]; return v, ok })
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%v: %d, %v; want %d, %v", test.env, got, err, test.want, test.err)
		}
	}
	m := Manifest{{URI: "a"}}
	if it, err := m.Item(0); err != nil || it.URI != "a" {
		t.Error(it, err)
	}
	if _, err := m.Item(1); !errors.Is(err, ErrIndex) {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "caf\xe9": `caf\xe9`, `a\b`: `a\x5cb`, "\x00x": `\x00x`, "\xed\xa0\x80": `\xed\xa0\x80`, "🐧\ufffd": "🐧\ufffd", "": "", "\x1b": "\x1b",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}
