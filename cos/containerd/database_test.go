package containerd

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/bolt"
)

// TestContainers: the containers of a database that containerd made are those that the claims of it are of.
func TestContainers(t *testing.T) {
	data := metadataDB(t)
	all, err := Containers(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Error(err)
	}
	all = slices.DeleteFunc(all, func(c Container) bool { return !c.Recorded }) // one is not of Kubernetes
	want := wantMetadata()
	if len(all) != len(want) {
		t.Fatalf("%d containers, want %d", len(all), len(want))
	}
	for i, c := range all {
		w := want[i]
		if c.ID != w.ContainerID || c.Sandbox != w.IsSandbox || c.Image != w.Image || !c.Recorded || c.Created.IsZero() || i > 0 && !c.Created.After(all[i-1].Created) {
			t.Errorf("%+v, want %+v", c, w)
		}
		if !w.IsSandbox && (c.Labels[labelUID] != w.PodUID || c.Labels[labelContainer] != w.Container) {
			t.Errorf("%s has the labels %q", c.ID, c.Labels)
		}
	}
}

// TestContainersWithoutPages takes away one page after another: an error says that something is missing where anything is.
func TestContainersWithoutPages(t *testing.T) {
	data := metadataDB(t)
	want, err := Containers(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += 4096 {
		damaged := bytes.Clone(data)
		clear(damaged[at : at+4096])
		if got, err := Containers(bytes.NewReader(damaged), int64(len(damaged))); err == nil && cmp.Diff(want, got) != "" {
			t.Errorf("without the page at %#x: %s", at, cmp.Diff(want, got))
		}
	}
}

func TestParseStatus(t *testing.T) {
	text := `{"Version":"v1","Pid":0,"CreatedAt":1796142792636672790,"StartedAt":1796142793000000000,"FinishedAt":1796142794000000001,"ExitCode":137,"Reason":"OOMKilled","Message":"","Resources":null}`
	got, err := ParseStatus([]byte(text))
	want := &Status{Created: time.Unix(0, 1796142792636672790).UTC(), Started: time.Unix(0, 1796142793000000000).UTC(), Finished: time.Unix(0, 1796142794000000001).UTC(), ExitCode: 137, Reason: "OOMKilled"}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for text, reason := range map[string]string{
		`{"Version":"v1","CreatedAt":1,"StartedAt":2}`:                             "",
		`{"Version":"v1","CreatedAt":1,"StartedAt":2,"FinishedAt":3}`:              "Completed",
		`{"Version":"v1","CreatedAt":1,"StartedAt":2,"FinishedAt":3,"ExitCode":7}`: "Error",
	} {
		if s, err := ParseStatus([]byte(text)); err != nil || s.Reason != reason {
			t.Errorf("%s: %+v, %v; want %q", text, s, err, reason)
		}
	}
	for _, text := range []string{"", "{", "[]", `{"Version":"v2"}`, `{"Version":"v1","ExitCode":4294967296}`, `{"Version":"v1","Pid":-1}`, strings.Repeat(" ", MaxStatus) + `{"Version":"v1"}`} {
		if s, err := ParseStatus([]byte(text)); !errors.Is(err, ErrStatus) {
			t.Errorf("%.20q is %+v, %v", text, s, err)
		}
	}
}

func TestDatabases(t *testing.T) {
	got := Databases([]string{"/data/io.containerd.metadata.v1.bolt/meta.db", "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "/meta.db", "/data/io.containerd.metadata.v1.bolt/meta.db"})
	want := []string{"var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "data/io.containerd.metadata.v1.bolt/meta.db"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := StatusPath(got[1], "abc"); got != "data/io.containerd.grpc.v1.cri/containers/abc/status" {
		t.Errorf("the status is at %s", got)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(`{"Version":"v1","Pid":17,"CreatedAt":1,"StartedAt":2,"FinishedAt":3,"ExitCode":137,"Reason":"OOMKilled"}`))
	f.Add([]byte(`{"Version":"v1","CreatedAt":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseStatus(text)
		if (s == nil) == (err == nil) {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestNoDatabase(t *testing.T) {
	if _, err := Containers(bytes.NewReader(make([]byte, 8192)), 8192); !errors.Is(err, bolt.ErrFormat) {
		t.Errorf("zeros are a database: %v", err)
	}
}
