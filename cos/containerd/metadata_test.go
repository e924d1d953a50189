package containerd

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/vmem"
)

const (
	uuid   = "3f1c2a54-8c1e-4a57-9f0a-1b6c2d3e4f50"
	static = "09a70ae9ccc491e651e5c773579b3490"
)

// metadataDB returns the database that containerd made; see testdata/README.md.
func metadataDB(tb testing.TB) []byte {
	tb.Helper()
	f, err := os.Open("testdata/meta.db.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// metadataID is the ID of the nth container in the database.
func metadataID(n int) string { return fmt.Sprintf("%064x", 0xabcdef00+int64(n)) }

func wantMetadata() []claim.Claim {
	const web, proxy = "web-7d4b9c6f5-x2x9z", "kube-proxy-node1"
	sandbox := func(namespace, pod, uid string, n int) claim.Claim {
		return claim.Claim{
			PodUID: uid, Namespace: namespace, Pod: pod, ContainerID: metadataID(n), SandboxID: metadataID(n), IsSandbox: true,
			Image: "registry.k8s.io/pause:3.8",
		}
	}
	container := func(namespace, pod, uid string, n, sandbox int, name string) claim.Claim {
		return claim.Claim{
			PodUID: uid, Namespace: namespace, Pod: pod, ContainerID: metadataID(n), SandboxID: metadataID(sandbox), Container: name,
			Image: "lab.local/" + name + ":1",
		}
	}
	return []claim.Claim{
		sandbox("default", web, uuid, 1),
		container("default", web, uuid, 2, 1, "server"),
		container("default", web, uuid, 3, 1, "proxy"),
		sandbox("kube-system", proxy, static, 4),
		container("kube-system", proxy, static, 5, 4, "kube-proxy"),
		sandbox("default", web, uuid, 6),
		container("default", web, uuid, 7, 6, "server"),
		container("default", web, uuid, 8, 6, "proxy"),
	}
}

func TestReadMetadata(t *testing.T) {
	data := metadataDB(t)
	got, err := readMetadata(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Error(err)
	}
	diff := cmp.Diff(wantMetadata(), got, cmpopts.IgnoreFields(claim.Claim{}, "Created"))
	if diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	for i, c := range got {
		if c.Created == 0 || i > 0 && c.Created <= got[i-1].Created {
			t.Errorf("container %s was created at %d, which is not after the one before", c.ContainerID, c.Created)
		}
	}
}

// TestReadMetadataWithoutPages takes away one page after another: what is left must
// be what was there, or an error say that something is missing.
func TestReadMetadataWithoutPages(t *testing.T) {
	data := metadataDB(t)
	whole := map[string]claim.Claim{}
	for _, c := range wantMetadata() {
		whole[c.ContainerID] = c
	}
	var partly int
	for at := 0; at < len(data); at += 4096 {
		damaged := bytes.Clone(data)
		clear(damaged[at : at+4096])
		got, err := readMetadata(bytes.NewReader(damaged), int64(len(damaged)))
		if err == nil && len(got) != len(whole) {
			t.Errorf("without the page at %#x: %d of %d containers and no error", at, len(got), len(whole))
		}
		if err != nil && len(got) > 0 {
			partly++
		}
		for _, c := range got {
			c.Created = 0
			if err == nil && c != whole[c.ContainerID] {
				t.Errorf("without the page at %#x: %+v and no error", at, c)
			}
		}
	}
	if partly == 0 {
		t.Error("no page's loss left a part")
	}
}

func TestAnyValue(t *testing.T) {
	for message, want := range map[string]string{
		"":                             "",
		"\x0a\x03url\x12\x05value":     "value",
		"\x12\x05value\x0a\x03url":     "value",
		"\x0a\x03url":                  "",
		"\x12\x7fshort":                "",
		"\x08\x01\x12\x05value":        "",
		"\x12\xff\xff\xff\xff\xff\xff": "",
		"\x12":                         "",
	} {
		if got := anyValue([]byte(message)); string(got) != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

func FuzzReadMetadata(f *testing.F) {
	data := metadataDB(f)
	f.Add(uint32(0x3010), uint64(0xffff))
	f.Add(uint32(0x4008), uint64(1))
	f.Add(uint32(0x500c), uint64(0xff00000000))
	f.Fuzz(func(t *testing.T, at uint32, value uint64) {
		data := bytes.Clone(data)
		binary.LittleEndian.PutUint64(data[int(at)%(len(data)-8):], value)
		claims, _ := readMetadata(bytes.NewReader(data), int64(len(data)))
		for _, c := range claims {
			if c.PodUID == "" || !claim.IsContainerID(c.ContainerID) {
				t.Fatalf("claim without pod or Container: %+v", c)
			}
		}
		all, _ := Containers(bytes.NewReader(data), int64(len(data)))
		for _, c := range all {
			if !claim.IsContainerID(c.ID) {
				t.Fatalf("container without an ID: %+v", c)
			}
		}
	})
}

func TestJoinLost(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	if err := joinLost([]error{nil, nil}); err != nil {
		t.Errorf("nothing lost: %v", err)
	}
	if err := joinLost([]error{nil, one, nil}); !errors.Is(err, one) || err.Error() != "one" {
		t.Errorf("one lost: %v", err)
	}
	if err := joinLost([]error{one, nil, two, two}); !errors.Is(err, one) || err.Error() != "one, and 2 more" {
		t.Errorf("three lost: %v", err)
	}
	if err := joinLost([]error{vmem.ErrNotPresent, one}); !errors.Is(err, one) {
		t.Errorf("two lost, one of them not present: %v", err)
	}
}

// TestCarveMetadata finds the records in the pages, also without the meta pages.
func TestCarveMetadata(t *testing.T) {
	var want []claim.Claim
	for _, c := range wantMetadata() {
		c.Origin, c.Image = claim.FromMetadataPage, ""
		want = append(want, c)
	}
	data := metadataDB(t)
	rootless := bytes.Clone(data)
	clear(rootless[:2*4096])
	for name, data := range map[string][]byte{"whole": data, "without meta pages": rootless} {
		got := carveMetadata(bytes.NewReader(data), int64(len(data)))
		slices.SortFunc(got, func(a, b claim.Claim) int { return strings.Compare(a.ContainerID, b.ContainerID) })
		got = slices.Compact(got) // transactions leave copies behind
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
