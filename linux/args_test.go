package linux

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// userBase is where the tests have user memory: pages that physical memory has from
// 0x800000 on, in the same page tables as the kernel.
const userBase = vmem.VirtAddr(0x7fff00000000)

// Where the tests keep a mm_struct and its vm_area_structs.
const (
	mmAt   = 0x2000
	areaAt = 0x4000
)

// newUser returns a kernel with a task that has pages of user memory, those of the given
// text, and an empty page for each that is nil. types must keep mappings in a list.
func newUser(t *testing.T, types *isf.File, pages ...[]byte) (*testKernel, *MM) {
	t.Helper()
	k := newTestKernelOf(t, types)
	for i, page := range pages {
		if page == nil {
			continue
		}
		frame := vmem.PhysAddr(0x800000 + i*vmem.PageSize)
		k.tables.Map(userBase+vmem.VirtAddr(i*vmem.PageSize), frame, 1, pagetest.Present|pagetest.User)
		k.mem.Zero(frame, vmem.PageSize)
		k.mem.Write(frame, page)
	}
	k.set(taskAt, "task_struct", "mm", at(mmAt))
	// The top table is in the direct map of the kernel, at the page behind all others.
	k.tables.Map(base+4<<20, k.root, 1, pagetest.Present)
	k.set(mmAt, "mm_struct", "pgd", at(4<<20))
	k.set(mmAt, "mm_struct", "mm_users.counter", 1)
	k.reopen()
	mm, err := k.task(taskAt).MM()
	if err != nil {
		t.Fatal(err)
	}
	return k, mm
}

// listTypes are those of a kernel that keeps mappings in a list (before 6.1).
func listTypes(t testing.TB) *isf.File {
	types := openBundled(t).symbols
	mm, err := types.UserType("mm_struct")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"vm_area_struct"}
	for _, f := range mm.Fields { // the members are in a structure without a name
		if f.Anonymous {
			names = append(names, f.Type.Name)
		}
	}
	return changed(t, types, func(u *isf.UserType) {
		if u.Name == "vm_area_struct" {
			add(u, "vm_next", u.Size, pointer)
			return
		}
		drop(u, "mm_mt")
		add(u, "mmap", 0, pointer)
	}, names...)
}

// areas writes a list of mappings of whole pages, by their first page and the one behind
// the last.
func (k *testKernel) areas(pages ...[2]int) {
	k.set(mmAt, "mm_struct", "mmap", 0)
	for i, p := range pages {
		off := uint64(areaAt + i*0x100)
		k.set(off, "vm_area_struct", "vm_start", uint64(userBase)+uint64(p[0]*vmem.PageSize))
		k.set(off, "vm_area_struct", "vm_end", uint64(userBase)+uint64(p[1]*vmem.PageSize))
		k.set(off, "vm_area_struct", "vm_mm", at(mmAt))
		if i > 0 {
			k.set(off-0x100, "vm_area_struct", "vm_next", at(off))
		} else {
			k.set(mmAt, "mm_struct", "mmap", at(off))
		}
	}
	k.set(mmAt, "mm_struct", "map_count", uint64(len(pages)))
	k.reopen()
}

func page(text string) []byte { return []byte(text) }

// full is a page without a NUL.
var full = []byte(strings.Repeat("x", vmem.PageSize))

func TestArgs(t *testing.T) {
	types := listTypes(t)
	const none = ^uint64(0)
	for _, tt := range []struct {
		name   string
		pages  [][]byte
		mapped [][2]int // nil: all
		size   uint64   // of the argument area
		env    uint64   // of the environment area that follows, none for none
		want   []string
		gaps   []error
	}{
		{"arguments", [][]byte{page("sleep\x0010\x00\x00")}, nil, 10, none, []string{"sleep", "10", ""}, nil},
		{"no area", [][]byte{page("sleep")}, nil, 0, none, nil, nil},
		{"a title", [][]byte{page("nginx: worker\x00rest")}, nil, 10, none, []string{"nginx: wor"}, nil},
		{"a title that goes on into the environment", [][]byte{page("nginx: worker\x00rest")}, nil, 10, 100, []string{"nginx: worker"}, nil},
		{"a title of more than a page", [][]byte{full, page("y")}, nil, 0x1001, none, []string{string(full)}, nil},
		{"a title that is lost", [][]byte{nil, page("y")}, nil, 0x1001, none, nil, []error{vmem.ErrNotPresent}},
		{"a title that is not mapped", [][]byte{nil, page("y")}, [][2]int{{1, 2}}, 0x1001, none, nil, nil},
		{"a hole", [][]byte{page("a\x00b"), nil, page("c\x00")}, nil, 0x3000, none,
			slices.Concat([]string{"a", "b"}, empty(4092), []string{"c"}, empty(4094)), []error{vmem.ErrNotPresent}},
		{"a hole that is not mapped", [][]byte{full, nil, page("c\x00")}, [][2]int{{0, 1}, {2, 3}}, 0x2002, none, []string{string(full), "c"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := newUser(t, types, tt.pages...)
			k.set(mmAt, "mm_struct", "arg_start", uint64(userBase))
			k.set(mmAt, "mm_struct", "arg_end", uint64(userBase)+tt.size)
			if tt.env != none {
				k.set(mmAt, "mm_struct", "env_start", uint64(userBase)+tt.size)
				k.set(mmAt, "mm_struct", "env_end", uint64(userBase)+tt.size+tt.env)
			}
			if tt.mapped == nil {
				tt.mapped = [][2]int{{0, len(tt.pages)}}
			}
			k.areas(tt.mapped...)
			mm, err := k.task(taskAt).MM()
			if err != nil {
				t.Fatal(err)
			}
			got, errs := collect(mm.Args(t.Context()))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("args (-want +got):\n%s", d)
			}
			checkGaps(t, errs, tt.gaps...)
		})
	}
}

func empty(n int) []string { return make([]string, n) }

// TestHolesAskOnce has an area with a hole in every other page: what is mapped is walked
// once for all of them, and only so many losses are told.
func TestHolesAskOnce(t *testing.T) {
	const most = 50
	pages := make([][]byte, 2*most+10)
	for i := range pages {
		if i%2 == 0 {
			pages[i] = page("a")
		}
	}
	k, _ := newUser(t, listTypes(t), pages...)
	k.set(mmAt, "mm_struct", "env_start", uint64(userBase))
	k.set(mmAt, "mm_struct", "env_end", uint64(userBase)+uint64(len(pages)*vmem.PageSize))
	k.areas([2]int{0, len(pages)})
	k.limits.Gaps, k.limits.AreaStrings = most, len(pages)*vmem.PageSize
	mm, err := k.task(taskAt).MM()
	if err != nil {
		t.Fatal(err)
	}
	_, errs := collect(mm.Env(t.Context()))
	if len(errs) != most+1 || !errors.Is(errs[most], kstruct.ErrTooMany) || !errors.Is(errs[0], vmem.ErrNotPresent) {
		t.Errorf("%d gaps, the last %v", len(errs), errs[len(errs)-1])
	}
	spans := mm.spans
	if spans == nil || len(spans.ranges) != 1 || !spans.whole {
		t.Fatalf("spans %+v", spans)
	}
	if collect(mm.Env(t.Context())); mm.spans != spans {
		t.Error("the mappings were walked again")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, errs := collect(mm.Env(ctx)); len(got) > 0 || len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("cancelled: %v, %v", got, errs)
	}
}

// Where the mappings can't be walked, what can't be read may have been mapped.
func TestMappedUnknown(t *testing.T) {
	k, _ := newUser(t, listTypes(t), page("a"))
	k.areas([2]int{0, 1})
	k.set(areaAt, "vm_area_struct", "vm_next", at(1<<20))
	k.reopen()
	mm, err := k.task(taskAt).MM()
	if err != nil {
		t.Fatal(err)
	}
	if !mm.mapped(t.Context(), userBase) || !mm.mapped(t.Context(), userBase+1<<30) || mm.spans.whole {
		t.Errorf("spans %+v", mm.spans)
	}
}

func TestListedAreas(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(*testKernel)
		want   int
		gaps   []error
	}{
		{"whole", func(*testKernel) {}, 3, nil},
		{"none", func(k *testKernel) { k.areas() }, 0, nil},
		{"a cycle", func(k *testKernel) { k.set(areaAt+0x200, "vm_area_struct", "vm_next", at(areaAt+0x100)) }, 3, []error{kstruct.ErrCorrupt}},
		{"torn", func(k *testKernel) { k.set(areaAt+0x100, "vm_area_struct", "vm_next", at(1<<20)) }, 2, []error{vmem.ErrNotCaptured, ErrDisagree}},
		{"of another process", func(k *testKernel) { k.set(areaAt+0x100, "vm_area_struct", "vm_mm", at(0)) }, 2, []error{kstruct.ErrCorrupt}},
		{"another count", func(k *testKernel) { k.set(mmAt, "mm_struct", "map_count", 4) }, 3, []error{ErrDisagree}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := newUser(t, listTypes(t), page("a"))
			k.areas([2]int{0, 1}, [2]int{1, 3}, [2]int{5, 6})
			tt.damage(k)
			k.reopen()
			mm, err := k.task(taskAt).MM()
			if err != nil {
				t.Fatal(err)
			}
			got, errs := collect(mm.VMAs(t.Context()))
			if len(got) != tt.want {
				t.Errorf("%d mappings, want %d", len(got), tt.want)
			}
			checkGaps(t, errs, tt.gaps...)
		})
	}
}

func TestMMOfNone(t *testing.T) {
	k := newTestKernel(t)
	exited := k.task(taskAt)
	exited.Flags = pfExiting
	if mm, err := exited.MM(); mm != nil || !errors.Is(err, ErrNone) {
		t.Errorf("exited: %v, %v", mm, err)
	}
	if mm, err := k.task(taskAt).MM(); mm != nil || !errors.Is(err, kstruct.ErrCorrupt) {
		t.Errorf("neither exited nor with memory: %v, %v", mm, err)
	}
	k.set(taskAt, "task_struct", "real_parent", at(0x8000))
	k.set(0x8000, "task_struct", "flags", pfKthread)
	k.reopen()
	if mm, err := k.task(taskAt).MM(); mm != nil || !errors.Is(err, ErrNone) {
		t.Errorf("before its first program: %v, %v", mm, err)
	}
	k.set(taskAt, "task_struct", "mm", at(mmAt))
	k.set(mmAt, "mm_struct", "mm_users.counter", 1)
	k.reopen()
	if mm, err := k.task(taskAt).MM(); mm != nil || !errors.Is(err, vmem.ErrNotPresent) || !strings.Contains(err.Error(), "page table root") {
		t.Errorf("without page tables: %v, %v", mm, err)
	}
	k.set(0x8000, "task_struct", "flags", 0)
	k.reopen()
	if exe, err := k.task(taskAt).Exe(); exe != "" || !errors.Is(err, kstruct.ErrCorrupt) {
		t.Errorf("memory without a program: %q, %v", exe, err)
	}
	if cwd, err := k.task(taskAt).Cwd(); cwd != "" || !errors.Is(err, kstruct.ErrCorrupt) {
		t.Errorf("no directories: %q, %v", cwd, err)
	}
	if cwd, err := exited.Cwd(); cwd != "" || !errors.Is(err, ErrNone) {
		t.Errorf("exited: %q, %v", cwd, err)
	}
	thread := k.task(taskAt)
	thread.KernelThread = true
	if mm, err := thread.MM(); mm != nil || !errors.Is(err, ErrNone) {
		t.Errorf("a kernel thread: %v, %v", mm, err)
	}
	if exe, err := thread.Exe(); exe != "" || !errors.Is(err, ErrNone) {
		t.Errorf("a kernel thread: %q, %v", exe, err)
	}
}

// Areas that hold more than any execve lets be are cut, and one Gap says so.
func TestAreaLimits(t *testing.T) {
	k, mm := newUser(t, listTypes(t), page("aa\x00bb\x00cc\x00"))
	k.limits.AreaBytes, k.limits.AreaStrings = 6, 100
	w := areaWalk{MM: mm, ctx: t.Context(), what: "args"}
	for _, tt := range []struct {
		strings int
		want    []string
		reason  error
	}{{100, []string{"aa", "bb"}, kstruct.ErrTooLong}, {1, []string{"aa"}, kstruct.ErrTooMany}} {
		k.limits.AreaStrings = tt.strings
		w := w
		got, errs := collect(func(yield func(string, error) bool) {
			w.yield = yield
			w.strings(userBase, userBase+9)
		})
		if d := cmp.Diff(tt.want, got); d != "" || len(errs) == 0 || !errors.Is(errs[len(errs)-1], tt.reason) {
			t.Errorf("%d strings: gaps %v (-want +got):\n%s", tt.strings, errs, d)
		}
	}
}
