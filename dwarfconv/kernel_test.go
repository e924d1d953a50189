package dwarfconv

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

// A kernel is a real one to test on.
type kernel struct {
	version string // the name of its directory
	vmlinux string
}

// kernels returns the kernels in the directories that NODELENS_KERNELS lists, as
// PATH does: VERSION/usr/lib/debug/boot/vmlinux-* in each, which is where Debian's
// linux-image-VERSION-dbg puts it. It skips t where there are none.
func kernels(t testing.TB) []kernel {
	t.Helper()
	list := os.Getenv("NODELENS_KERNELS")
	if list == "" {
		t.Skip("NODELENS_KERNELS is not set")
	}
	var all []kernel
	for _, dir := range filepath.SplitList(list) {
		files, err := filepath.Glob(filepath.Join(dir, "*", "usr", "lib", "debug", "boot", "vmlinux-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			rel, err := filepath.Rel(dir, f)
			if err != nil {
				t.Fatal(err)
			}
			version, _, _ := strings.Cut(rel, string(filepath.Separator))
			all = append(all, kernel{version, f})
		}
	}
	if len(all) == 0 {
		t.Fatalf("no kernel in %s", list)
	}
	return all
}

// onKernels runs test for each kernel.
func onKernels(t *testing.T, test func(*testing.T, kernel)) {
	for _, k := range kernels(t) {
		t.Run(k.version, func(t *testing.T) { test(t, k) })
	}
}

// convertKernel converts k, once for all tests. It fails t if any of k is lost.
func convertKernel(t *testing.T, k kernel) *isf.File {
	t.Helper()
	converted.Lock()
	defer converted.Unlock()
	if f := converted.files[k.vmlinux]; f != nil {
		return f
	}
	f, err := ConvertFile(context.Background(), k.vmlinux, &Options{Warn: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	converted.files = map[string]*isf.File{k.vmlinux: f} // one at a time: they are large
	return f
}

var converted struct {
	sync.Mutex
	files map[string]*isf.File
}

// variantsOf returns what the units of k define each user type as, those that most
// units agree on first.
func variantsOf(t *testing.T, k kernel) map[string][]*isf.UserType {
	t.Helper()
	types := map[string][]*isf.UserType{}
	for _, v := range allVariants(t, k) {
		if u, ok := v.def.(*isf.UserType); ok {
			types[v.name] = append(types[v.name], u)
		}
	}
	return types
}

// enumVariantsOf is variantsOf for enumerations.
func enumVariantsOf(t *testing.T, k kernel) map[string][]*isf.Enum {
	t.Helper()
	enums := map[string][]*isf.Enum{}
	for _, v := range allVariants(t, k) {
		if e, ok := v.def.(*isf.Enum); ok {
			enums[v.name] = append(enums[v.name], e)
		}
	}
	return enums
}

func allVariants(t *testing.T, k kernel) []*variant {
	t.Helper()
	f, err := os.Open(k.vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c := &conversion{ctx: context.Background(), size: info.Size()}
	if c.elf, err = openELF(f, info.Size()); err != nil {
		t.Fatal(err)
	}
	debug, err := openDebug(c.elf, info.Size(), &c.damage)
	if err != nil {
		t.Fatal(err)
	}
	collectors, err := c.collect(debug)
	if err != nil {
		t.Fatal(err)
	}
	all := joined(collectors)
	slices.SortFunc(all, func(a, b *variant) int { return b.units - a.units })
	return all
}

func isUnnamed(name string) bool { return strings.HasPrefix(name, "unnamed_") }

// A comparer tells whether types of two databases are the same, names of unnamed
// ones aside.
type comparer struct {
	got, want *isf.File
	same      map[[2]string]bool
}

func newComparer(got, want *isf.File) *comparer {
	return &comparer{got: got, want: want, same: map[[2]string]bool{}}
}

func (c *comparer) sameType(got, want *isf.Type) bool {
	for ; got != nil && want != nil; got, want = got.Elem, want.Elem {
		a, b := *got, *want
		a.Elem, b.Elem = nil, nil
		switch {
		case a.Kind == isf.KindVoid && b.Kind == isf.KindVoid:
			return true
		case a == b:
		case a.Kind == b.Kind && isUnnamed(a.Name) && isUnnamed(b.Name):
			return c.sameUnnamed(a.Kind, a.Name, b.Name)
		default:
			return false
		}
	}
	return got == nil && want == nil
}

func (c *comparer) sameUnnamed(k isf.Kind, got, want string) bool {
	if k == isf.KindEnum {
		a, errA := c.got.Enum(got)
		b, errB := c.want.Enum(want)
		return errA == nil && errB == nil && sameEnum(a, b)
	}
	key := [2]string{got, want}
	if same, ok := c.same[key]; ok {
		return same
	}
	a, errA := c.got.UserType(got)
	b, errB := c.want.UserType(want)
	c.same[key] = errA == nil && errB == nil && c.sameUser(a, b)
	return c.same[key]
}

func (c *comparer) sameUser(got, want *isf.UserType) bool {
	return got.Kind == want.Kind && got.Size == want.Size && slices.EqualFunc(got.Fields, want.Fields, func(a, b isf.Field) bool {
		return a.Name == b.Name && a.Offset == b.Offset && a.Anonymous == b.Anonymous && c.sameType(a.Type, b.Type)
	})
}

// sameEnum compares all but the base: dwarf2json guesses that by size.
func sameEnum(got, want *isf.Enum) bool {
	return got.Size == want.Size && maps.Equal(constants(got), constants(want))
}

func constants(e *isf.Enum) map[string]int64 {
	m := map[string]int64{}
	for _, c := range e.Constants {
		m[c.Name] = c.Value
	}
	return m
}
