package swap

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

var nodes = nodetest.Set[*nodetest.Node]{Make: func(n *nodetest.Node) (*nodetest.Node, error) { return n, nil }}

// openNode opens the swap of a node, with those of its swap files that the truth has.
func openNode(t *testing.T, n *nodetest.Node) *Reader {
	t.Helper()
	files := map[uint8]io.ReaderAt{}
	for i := range uint8(vmem.SwapTypeCount) {
		if text, ok := n.Read(t, "task", "swap", fmt.Sprint(i)); ok {
			files[i] = strings.NewReader(text)
		}
	}
	r, err := Open(t.Context(), n.K, &Options{Files: files})
	if _, missing := n.K.Symbol("swap_info"); missing != nil && err != nil {
		t.Skipf("a kernel that names no data: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Gaps() {
		if errors.Is(g, kstruct.ErrUnsupported) { // modules before 5.11 have no types of their own
			t.Skip(g)
		}
		n.Lost(t, g)
	}
	return r
}

// TestAreas compares the swap areas with /proc/swaps.
func TestAreas(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *nodetest.Node) {
		text, ok := n.Read(t, "proc", "swaps")
		if !ok {
			t.Skip("the truth has none")
		}
		var want []string
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); f[0] != "Filename" {
				want = append(want, line)
			}
		}
		areas := openNode(t, n).Areas()
		if len(areas) != len(want) {
			t.Fatalf("%+v, want %q", areas, want)
		}
		for i, a := range areas {
			kind, f := "partition", strings.Fields(want[i])
			if a.File {
				kind = "file"
			}
			got := []string{strings.ReplaceAll(a.Name, " ", "\\040"), kind, fmt.Sprint(a.Pages * 4), f[3], fmt.Sprint(a.Priority)}
			used, _ := strconv.ParseUint(f[3], 10, 64)
			if !slices.Equal(got, f) || a.Used < used/4 || a.Used > a.Pages { // more is swapped out meanwhile
				t.Errorf("%q of %+v, want %q", got, a, f)
			}
			if strings.HasPrefix(a.Name, "/dev/zram") != (len(a.Compression) > 0) {
				t.Errorf("%s is compressed by %q", a.Name, a.Compression)
			}
		}
	})
}

// A toldPage is a page that a process of the lab had swapped out.
type toldPage struct {
	task *linux.Task
	at   vmem.VirtAddr
	kind string
	sum  string
}

func toldPages(t *testing.T, n *nodetest.Node) (all []toldPage) {
	t.Helper()
	text, _ := n.Read(t, "task", "told", "pages")
	for line := range strings.Lines(text) {
		w := strings.Fields(line) // PID, address, length, kind, SHA-256
		if !strings.HasPrefix(w[3], "swap-") {
			continue
		}
		at, _ := strconv.ParseUint(w[1], 16, 64)
		i := slices.IndexFunc(n.Tasks, func(p *linux.Task) bool { return fmt.Sprint(p.PID) == w[0] })
		if i < 0 {
			t.Fatalf("no process %s", w[0])
		}
		all = append(all, toldPage{n.Tasks[i], vmem.VirtAddr(at), strings.TrimPrefix(w[3], "swap-"), w[4]})
	}
	return all
}

// entry returns the swap entry of a page, if it has one.
func (p *toldPage) entry(t *testing.T) (number uint8, offset uint64, ok bool) {
	t.Helper()
	mm, err := p.task.MM()
	if err != nil {
		t.Fatal(err)
	}
	_, err = mm.ReadVirt(make([]byte, 1), p.at)
	fault, ok := errors.AsType[*vmem.Fault](err)
	if !ok || !errors.Is(err, vmem.ErrSwapped) {
		return 0, 0, false
	}
	number, offset = x86.SwapEntry(fault)
	return number, offset, true
}

// TestSwappedPages reads pages that processes had swapped out to zram with each compression and to a file, and compares them with what they wrote.
func TestSwappedPages(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *nodetest.Node) {
		told := toldPages(t, n)
		if len(told) == 0 {
			t.Skip("nothing was swapped out")
		}
		r := openNode(t, n)
		read, page := map[string]map[placeKind]int{}, make([]byte, vmem.PageSize)
		kinds := map[string]bool{}
		for _, p := range told {
			kinds[p.kind] = true
			number, offset, ok := p.entry(t)
			if !ok {
				continue
			}
			var at place
			if err := r.find(number, offset, &at); err != nil {
				t.Errorf("%s: page %v, %d of area %d: %v", p.kind, p.at, offset, number, err)
				continue
			}
			if err := r.ReadPage(page, number, offset); err != nil {
				t.Errorf("%s: page %v: %v", p.kind, p.at, err)
				continue
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(page)); got != p.sum {
				t.Errorf("%s: page %v, %d of area %d, kind %d, reads otherwise", p.kind, p.at, offset, number, at.kind)
			}
			if read[p.kind] == nil {
				read[p.kind] = map[placeKind]int{}
			}
			read[p.kind][at.kind]++
		}
		for name := range kinds {
			n := read[name][compressed] + read[name][inFile] + read[name][cached]
			t.Logf("%s: %d hold anything, %d are filled", name, n, read[name][filled])
			if n < 100 && !strings.HasSuffix(name, "-shared") { // of these the page tables have nothing
				t.Errorf("%s: only %d pages that hold anything", name, n)
			}
		}
		if files := fromFile(t, r, told); files > 0 {
			t.Logf("%d pages of swap files that are given", files)
		}
	})
}

// fromFile reads pages of swap files as if they were not in memory, too.
func fromFile(t *testing.T, r *Reader, told []toldPage) (count int) {
	t.Helper()
	page := make([]byte, vmem.PageSize)
	for _, p := range told {
		number, offset, ok := p.entry(t)
		if !ok || r.areas[number] == nil || r.areas[number].file == nil {
			continue
		}
		a := r.areas[number]
		if ok, err := r.zero(a.info.Zeros, offset, &place{}); ok || err != nil {
			continue // it was never written
		}
		if err := r.read(page, &place{kind: inFile, file: a.file, offset: int64(offset) * vmem.PageSize}); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(page)); got != p.sum {
			t.Errorf("page %d of %s is otherwise in the file", offset, a.Name)
		}
		count++
	}
	return count
}
