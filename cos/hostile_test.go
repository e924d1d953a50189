package cos

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// extra is where attacks have memory of their own, behind that of any image.
var extra = vmem.Range[vmem.PhysAddr]{Start: 0x40_0000_0000, Size: 16 << 20}

// withExtra is an image and zeros for attacks to write to.
type withExtra struct{ vmem.Memory }

func (m withExtra) ReadAt(p []byte, off int64) (int, error) {
	if !extra.Contains(vmem.PhysAddr(off)) {
		return m.Memory.ReadAt(p, off)
	}
	clear(p)
	return len(p), nil
}

func (m withExtra) Ranges() []vmem.Range[vmem.PhysAddr] {
	return append(m.Memory.Ranges()[:len(m.Memory.Ranges()):len(m.Memory.Ranges())], extra)
}

// A victim is the bundled node, and what it says when nobody has touched it.
type victim struct {
	mem    vmem.Memory
	types  *isf.File
	k      *linux.Kernel
	tasks  map[int32]*linux.Task
	report *NodeReport
}

// theVictim is opened once for all attacks.
var theVictim = sync.OnceValue(func() *victim {
	bundled, err := testimages.Bundled()
	if err != nil {
		panic(err)
	}
	img, err := image.Open(context.Background(), bundled.Path, nil)
	if err != nil {
		panic(err)
	}
	v := &victim{mem: withExtra{img.Memory}, tasks: map[int32]*linux.Task{}}
	if v.types, err = bundledSymbols(); err != nil {
		panic(err)
	}
	if v.k, err = linux.Open(context.Background(), v.mem, &linux.Options{Symbols: v.types}); err != nil {
		panic(err)
	}
	for t, err := range v.k.Processes(context.Background()) {
		if err == nil {
			v.tasks[t.PID] = t
		}
	}
	read, err := readNode(context.Background(), v.k, secrecy{show: true})
	if err != nil {
		panic(err)
	}
	v.report = read.report
	return v
})

// An attack is the victim with structures overwritten as an attacker would.
type attack struct {
	*victim
	t    *testing.T
	m    *smeartest.Memory
	next vmem.PhysAddr // of the memory of its own
}

func newAttack(t *testing.T) *attack {
	v := theVictim()
	a := &attack{victim: v, t: t, m: smeartest.New(v.mem), next: extra.Start}
	if v.k.Info().PageTableLevels != 4 {
		t.Fatal("the bundled node has page tables of other levels")
	}
	return a
}

const tableEntry = 0x063 // present, writable, accessed, dirty

// page returns pages of the attacker's own.
func (a *attack) page(n int) vmem.PhysAddr {
	pa := a.next
	if a.next += vmem.PhysAddr(n * vmem.PageSize); a.next > extra.Last() {
		a.t.Fatal("no more memory")
	}
	return pa
}

// table returns a page table whose entries are all alike.
func (a *attack) table(entry vmem.PhysAddr) vmem.PhysAddr {
	pa := a.page(1)
	a.m.Write(pa, words(512, func(int) uint64 { return uint64(entry) | tableEntry | 4 }))
	return pa
}

func words(n int, word func(int) uint64) []byte {
	b := make([]byte, 0, 8*n)
	for i := range n {
		b = binary.LittleEndian.AppendUint64(b, word(i))
	}
	return b
}

// enter puts an entry into the first unused slot from one on of a top table, and returns the
// address that it translates.
func (a *attack) enter(root vmem.PhysAddr, from uint64, entry vmem.PhysAddr) vmem.VirtAddr {
	for i := from; i < 510; i++ {
		var b [8]byte
		at := root + vmem.PhysAddr(8*i)
		if _, err := a.m.ReadAt(b[:], int64(at)); err != nil {
			a.t.Fatal(err)
		}
		if b != [8]byte{} {
			continue
		}
		a.m.PutUint64(at, uint64(entry)|tableEntry|4)
		return vmem.VirtAddr(int64(i<<39) << 16 >> 16)
	}
	a.t.Fatal("no free entry in the top table")
	return 0
}

// own returns the kernel address of pages of the attacker's own.
func (a *attack) own(n int) vmem.VirtAddr {
	pa := a.page(n)
	tables := a.page(2 + n/512 + 1)
	pmd, pt := tables+vmem.PageSize, tables+2*vmem.PageSize
	a.m.PutUint64(tables, uint64(pmd)|tableEntry)
	for i := range n {
		a.m.PutUint64(pt+vmem.PhysAddr(8*i), uint64(pa)+uint64(i*vmem.PageSize)|tableEntry)
		a.m.PutUint64(pmd+vmem.PhysAddr(i/512*8), uint64(pt)+uint64(i/512*vmem.PageSize)|tableEntry)
	}
	return a.enter(a.k.Info().Root, 257, tables)
}

// put overwrites kernel memory.
func (a *attack) put(at vmem.VirtAddr, values ...uint64) {
	a.write(at, words(len(values), func(i int) uint64 { return values[i] }))
}

func (a *attack) write(at vmem.VirtAddr, b []byte) {
	for len(b) > 0 {
		n := min(len(b), vmem.PageSize-int(at%vmem.PageSize))
		a.m.Write(a.phys(at), b[:n])
		at, b = at+vmem.VirtAddr(n), b[n:]
	}
}

// phys translates by the tables as they are now.
func (a *attack) phys(at vmem.VirtAddr) vmem.PhysAddr {
	if m, err := a.k.Space().Translate(at); err == nil {
		return m.At(at)
	}
	table := uint64(a.k.Info().Root)
	for level := 3; level >= 0; level-- {
		var b [8]byte
		if _, err := a.m.ReadAt(b[:], int64(table+uint64(at)>>(12+9*level)%512*8)); err != nil {
			a.t.Fatal(err)
		}
		table = binary.LittleEndian.Uint64(b[:]) & (1<<52 - 1<<12)
	}
	return vmem.PhysAddr(table) + vmem.PhysAddr(at%vmem.PageSize)
}

// everywhere returns an address from which on a gigabyte of memory is one page. root is a
// top table, and from the first of its entries that is looked at.
func (a *attack) everywhere(root vmem.PhysAddr, from uint64, page vmem.PhysAddr) vmem.VirtAddr {
	return a.enter(root, from, a.table(a.table(a.table(page))))
}

// member returns the address of a member of a structure, and pointer what is there.
func (a *attack) member(typ, path string, at vmem.VirtAddr) vmem.VirtAddr {
	v := a.k.Struct(typ, at).At(path)
	if err := v.Err(); err != nil {
		a.t.Fatal(err)
	}
	return v.Addr()
}

func (a *attack) pointer(typ, path string, at vmem.VirtAddr) vmem.VirtAddr {
	p, err := a.k.Space().Uint64(a.member(typ, path, at))
	if err != nil {
		a.t.Fatal(err)
	}
	return vmem.VirtAddr(p)
}

// put32 overwrites a word of 32 bits.
func (a *attack) put32(at vmem.VirtAddr, v uint32) {
	a.write(at, binary.LittleEndian.AppendUint32(nil, v))
}

// users are the processes that have memory of their own, by ascending PID.
func (a *attack) users() (all []*linux.Task) {
	for i := range a.report.Processes {
		p := a.tasks[a.report.Processes[i].PID]
		if _, err := p.MM(); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// named returns the first process of that name.
func (a *attack) named(comm string) *linux.Task {
	for i := range a.report.Processes {
		if p := &a.report.Processes[i]; p.Comm == comm {
			return a.tasks[p.PID]
		}
	}
	a.t.Fatalf("no process %s", comm)
	return nil
}

// most is how much a report of a hostile image may take: what is allocated for it in bytes,
// and the JSON of what an attack adds.
const mostAllocated, mostJSON = 450 << 20, 90 << 20

// run reports on the node as it is now. What the report of the victim says of processes that
// are not touched must be the same, and what it takes is bounded.
func (a *attack) run(touched ...*linux.Task) *NodeReport {
	a.t.Helper()
	k, err := linux.Open(a.t.Context(), a.m, &linux.Options{Symbols: a.types})
	if err != nil {
		a.t.Fatal(err)
	}
	var r *NodeReport
	alloctest.AtMost(a.t, mostAllocated, "", func() {
		read, err := readNode(a.t.Context(), k, secrecy{show: true})
		if err != nil {
			a.t.Fatal(err)
		}
		r = read.report
	})
	size := 0
	for i := range r.Processes {
		f := facts{Process: r.Processes[i]}
		size += f.size()
		for _, s := range f.shares() {
			size += s.size
		}
	}
	for _, g := range r.Gaps {
		size += 120 + jsonSize(g.Object) + jsonSize(g.Err.Error())
	}
	if size > mostJSON {
		a.t.Errorf("a report of %d MiB", size>>20)
	}
	a.compare(r, touched)
	return r
}

// compare checks that all processes that are not touched are there as before.
func (a *attack) compare(r *NodeReport, touched []*linux.Task) {
	a.t.Helper()
	skip, got := map[int32]bool{}, map[int32]*Process{}
	for _, t := range touched {
		skip[t.PID] = true
	}
	for i := range r.Processes {
		got[r.Processes[i].PID] = &r.Processes[i]
	}
	for i := range a.report.Processes {
		want := &a.report.Processes[i]
		switch p := got[want.PID]; {
		case p == nil:
			a.t.Errorf("process %d is lost", want.PID)
		case !skip[want.PID]:
			p.Sources = want.Sources // of which a view may be overwritten
			if d := gocmp.Diff(want, p); d != "" {
				a.t.Errorf("process %d (-before +now):\n%s", want.PID, d)
			}
		}
	}
	if len(r.Processes) > len(a.report.Processes) {
		a.t.Errorf("%d processes that were %d", len(r.Processes), len(a.report.Processes))
	}
}

// told checks that a gap names the fact, by a part of its object and its reason.
func (a *attack) told(r *NodeReport, object string, reason vmem.Reason) {
	a.t.Helper()
	for _, g := range r.Gaps {
		if strings.Contains(g.Object, object) && g.Reason() == reason {
			return
		}
	}
	a.t.Errorf("none of %d gaps is of %q for %q", len(r.Gaps), object, reason)
	for _, g := range r.Gaps[:min(len(r.Gaps), 5)] {
		a.t.Log(g)
	}
}
