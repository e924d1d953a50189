package containerd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/vmem"
)

// pages is physical memory with a hole behind every page.
type pages [][]byte

func (p pages) Ranges() (all []vmem.Range[vmem.PhysAddr]) {
	for i := range p {
		all = append(all, vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(i * 2 * vmem.PageSize), Size: vmem.PageSize})
	}
	return all
}

func (p pages) ReadAt(b []byte, off int64) (int, error) {
	page, in := int(off/vmem.PageSize), off%vmem.PageSize
	if page%2 != 0 || page/2 >= len(p) {
		return 0, vmem.ErrNotCaptured
	}
	n := copy(b, p[page/2][in:])
	if n < len(b) {
		return n, vmem.ErrNotCaptured
	}
	return n, nil
}

// textPage is a page that holds a text at an offset, of which the end is cut off.
func textPage(off int, text string) []byte {
	b := make([]byte, vmem.PageSize)
	copy(b[off:], text)
	return b
}

func carved(t *testing.T, mem vmem.Memory, uids ...string) []claim.Claim {
	t.Helper()
	got, err := Carve(t.Context(), mem, Wanted{UIDs: uids})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Each page of the database tells of its pods wherever it lies.
func TestCarveDatabase(t *testing.T) {
	t.Parallel()
	var mem pages
	for page := range slices.Chunk(metadataDB(t), vmem.PageSize) {
		mem = append(pages{page}, mem...)
	}
	names := map[string]string{uuid: "default/web-7d4b9c6f5-x2x9z", static: "kube-system/kube-proxy-node1"}
	found := map[string]bool{}
	for _, c := range carved(t, mem, uuid, static) {
		if c.Origin != claim.FromMetadataMemory || c.PID != 0 || names[c.PodUID] != c.Namespace+"/"+c.Pod {
			t.Errorf("%+v", c)
		}
		found[c.PodUID] = true
	}
	if len(found) != 2 {
		t.Errorf("pods %v", found)
	}
	got, err := Carve(t.Context(), mem, Wanted{Sandboxes: []string{metadataID(4)}})
	for _, c := range got {
		if c.PodUID != static || c.SandboxID != metadataID(4) {
			t.Errorf("by the sandbox: %+v", c)
		}
	}
	if len(got) == 0 || err != nil {
		t.Errorf("by the sandbox: %v, %v", got, err)
	}
	if got := carved(t, mem, "another"); len(got) != 0 {
		t.Errorf("of a pod that nothing else knows: %+v", got)
	}
}

func TestCarveTexts(t *testing.T) {
	t.Parallel()
	const dir = "kube-system_kube-proxy-node1_" + static
	want := claim.Claim{Origin: claim.FromLogPathMemory, PodUID: static, Namespace: "kube-system", Pod: "kube-proxy-node1"}
	for name, test := range map[string]struct {
		page []byte
		want []claim.Claim
	}{
		"a path":             {textPage(100, "/var/log/pods/"+dir+"/kube-proxy/0.log"), []claim.Claim{want}},
		"a name by itself":   {textPage(0, dir), []claim.Claim{want}},
		"at the end":         {textPage(vmem.PageSize-len(dir), dir), []claim.Claim{want}},
		"cut off":            {textPage(vmem.PageSize-len(dir)+1, dir), nil},
		"the beginning lost": {textPage(0, dir[12:]), nil},
		"a longer UID":       {textPage(9, dir+"0"), nil},
		"no name of a pod":   {textPage(9, "kube-system_Kube_"+static), nil},
		"no namespace":       {textPage(9, "kube.system_kube_"+static), nil},
		"another pod":        {textPage(9, "default_web_"+uuid), nil},
	} {
		if diff := cmp.Diff(test.want, carved(t, pages{test.page}, static), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What more pages say comes first; and no pod can say more than so much.
func TestCarveOrder(t *testing.T) {
	t.Parallel()
	truth, lie := "/default_web_"+uuid+"/", "/default_evil_"+uuid+"/"
	got := carved(t, pages{textPage(5, lie), textPage(5, truth), textPage(50, truth)}, uuid)
	if len(got) != 2 || got[0].Pod != "web" || got[1].Pod != "evil" {
		t.Errorf("%+v", got)
	}
	var flood pages
	for i := range 4 * maxTexts {
		flood = append(flood, textPage(5, "/default_p"+string(rune('a'+i%26))+string(rune('a'+i/26))+"_"+uuid+"/"))
	}
	if got := carved(t, flood, uuid); len(got) != maxTexts {
		t.Errorf("%d texts of one pod", len(got))
	}
}

func TestCarveEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := Carve(ctx, pages{textPage(0, "")}, Wanted{UIDs: []string{uuid}}); got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := Carve(t.Context(), nil, Wanted{}); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// Pages that can't be read are passed over, and no others.
func TestPagesOf(t *testing.T) {
	t.Parallel()
	mem := pages{textPage(0, "a"), textPage(0, "b"), textPage(0, "c")}
	var got []byte
	for p := range pagesOf(mem, make([]byte, 5*vmem.PageSize), 0) {
		got = append(got, p[0])
	}
	if !bytes.Equal(got, []byte("abc")) {
		t.Errorf("pages %q", got)
	}
	if _, err := mem.ReadAt(make([]byte, 1), vmem.PageSize); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a hole: %v", err)
	}
}
