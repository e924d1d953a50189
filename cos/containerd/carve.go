package containerd

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/internal/bolt"
	"github.com/nodelens/nodelens/vmem"
)

// Running returns the sandboxes that shims say they run, by the arguments of processes that
// are in no pod.
func Running(processes []claim.Process) map[string]bool {
	running := map[string]bool{}
	for i := range processes {
		if id := shimID(&processes[i]); id != "" {
			running[id] = true
		}
	}
	return running
}

// A Wanted says which pods are carved for.
type Wanted struct {
	UIDs      []string // of pods
	Sandboxes []string // of pods whose UIDs are not known
}

// Carve finds what any page of physical memory says of some pods: pages of
// containerd's database, which the page cache has though no process is known that maps them,
// and texts that name a pod with its UID, such as the paths of its logs. It reads all memory.
//
// Whoever has memory can write such texts. So a text counts by the number of pages that have
// it, the most frequent first, and pods that are known by nothing else are not looked for.
// The error is that of ctx.
func Carve(ctx context.Context, mem vmem.Memory, w Wanted) ([]claim.Claim, error) {
	if len(w.UIDs)+len(w.Sandboxes) == 0 {
		return nil, ctx.Err()
	}
	c := carver{uids: map[string]bool{}, sandboxes: map[string]bool{}, found: map[claim.Claim]int{}, texts: map[string]int{}}
	for _, id := range w.Sandboxes {
		c.sandboxes[id] = true
	}
	for _, uid := range w.UIDs {
		c.uids[uid] = true
		c.lengths = append(c.lengths, len(uid))
	}
	slices.Sort(c.lengths)
	c.lengths = slices.Compact(c.lengths)
	buf := make([]byte, carveWindow)
	for _, r := range mem.Ranges() {
		for at := uint64(r.Start); at <= uint64(r.Last()); at += carveWindow {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("containerd: %w", err)
			}
			size := min(carveWindow, uint64(r.Last())-at+1)
			for page := range pagesOf(mem, buf[:size], int64(at)) {
				c.page(page)
			}
		}
	}
	return c.claims(), nil
}

const (
	carveWindow = 1 << 20
	// maxTexts bounds what is kept of one pod: names that a hostile pod makes up.
	maxTexts = 64
)

// pagesOf yields the pages from a physical address on that can be read, by buf. What is no
// whole page is none of a file.
func pagesOf(mem vmem.Memory, buf []byte, at int64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(buf) > 0 {
			n, _ := mem.ReadAt(buf, at)
			for page := range slices.Chunk(buf[:n], vmem.PageSize) {
				if len(page) == vmem.PageSize && !yield(page) {
					return
				}
			}
			skip := min(len(buf), (n+vmem.PageSize)/vmem.PageSize*vmem.PageSize) // and the page that can't be read
			buf, at = buf[skip:], at+int64(skip)
		}
	}
}

// A carver collects what pages say.
type carver struct {
	uids, sandboxes map[string]bool
	lengths         []int // of UIDs
	found           map[claim.Claim]int
	texts           map[string]int // of a pod
}

// claims returns what was found, what most pages say first.
func (c *carver) claims() []claim.Claim {
	all := make([]claim.Claim, 0, len(c.found))
	for f := range c.found {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b claim.Claim) int {
		return cmp.Or(cmp.Compare(a.Origin.Rank(), b.Origin.Rank()), cmp.Compare(a.PodUID, b.PodUID), cmp.Compare(c.found[b], c.found[a]),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.ContainerID, b.ContainerID),
			cmp.Compare(a.Container, b.Container), cmp.Compare(a.SandboxID, b.SandboxID))
	})
	return all
}

// add notes a claim, if it is of a pod that is asked for.
func (c *carver) add(f claim.Claim) {
	if f.PodUID == "" || !c.uids[f.PodUID] && !c.sandboxes[f.SandboxID] {
		return
	}
	if _, known := c.found[f]; !known {
		if c.texts[f.PodUID] == maxTexts {
			return
		}
		c.texts[f.PodUID]++
	}
	c.found[f]++
}

// page looks at one page.
func (c *carver) page(b []byte) {
	for bucket := range bolt.CarvePage(b) {
		c.bucket(bucket)
	}
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], '_')
		if i < 0 {
			break
		}
		at += i
		for _, n := range c.lengths {
			if at+1+n <= len(b) && c.uids[string(b[at+1:at+1+n])] {
				c.logText(b, at, at+1+n)
			}
		}
	}
}

// bucket looks at a bucket of a database: the labels of a container, or the CRI plugin's
// records.
func (c *carver) bucket(items []bolt.Item) {
	f := claim.Claim{Origin: claim.FromMetadataMemory}
	for _, item := range items {
		value := string(item.Value)
		switch key := string(item.Key); key {
		case labelUID:
			f.PodUID = value
		case labelNamespace:
			f.Namespace = value
		case labelPod:
			f.Pod = value
		case containerExtension, sandboxExtension:
			r, err := parseRecord(item.Value)
			if err == nil && claim.IsContainerID(r.ID) {
				whole := r.claim(key == sandboxExtension)
				whole.Origin = claim.FromMetadataMemory
				c.add(whole)
			}
		}
	}
	if namespaceName.MatchString(f.Namespace) && podName.MatchString(f.Pod) {
		c.add(f)
	}
}

var (
	namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	podName       = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// logText looks at the name of a directory of logs, NAMESPACE_POD_UID (see logPath), whose
// second underscore is at mid and which ends at end. It must stand by itself, or in a path.
func (c *carver) logText(b []byte, mid, end int) {
	if end < len(b) && isNameByte(b[end]) {
		return
	}
	first := bytes.LastIndexByte(b[max(0, mid-254):mid], '_')
	if first < 0 {
		return
	}
	first += max(0, mid-254)
	begin := first
	for begin > 0 && isNameByte(b[begin-1]) {
		begin--
	}
	f := claim.Claim{Origin: claim.FromLogPathMemory, PodUID: string(b[mid+1 : end]), Namespace: string(b[begin:first]), Pod: string(b[first+1 : mid])}
	if namespaceName.MatchString(f.Namespace) && podName.MatchString(f.Pod) {
		c.add(f)
	}
}

// isNameByte reports whether a name of Kubernetes can go on with c.
func isNameByte(c byte) bool {
	return c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}
