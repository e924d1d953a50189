package btfconv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

func openImage(t testing.TB, image testimages.Image) vmem.Memory {
	t.Helper()
	return openWhole(t, image).mem
}

// eachImage runs a test on each image that there is.
func eachImage(t *testing.T, test func(t *testing.T, image testimages.Image, mem vmem.Memory)) {
	t.Helper()
	for _, image := range testimages.All(t) {
		t.Run(image.Name, func(t *testing.T) { test(t, image, openImage(t, image)) })
	}
}

// someImages is eachImage for tests that make many databases of each.
func someImages(t *testing.T, test func(t *testing.T, image testimages.Image, mem vmem.Memory)) {
	t.Helper()
	for _, image := range testimages.All(t) {
		t.Run(image.Name, func(t *testing.T) { test(t, image, openImage(t, image)) })
	}
}

// truthSymbols reads what /proc/kallsyms said in the guest.
func truthSymbols(t *testing.T, image testimages.Image) []kernelSymbol {
	t.Helper()
	if image.Truth == "" {
		t.Skip("no truth")
	}
	f, err := os.Open(filepath.Join(image.Truth, "proc/kallsyms"))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	symbols, err := parseSymbols(f)
	if err != nil {
		t.Fatal(err)
	}
	return symbols
}

// linked returns the addresses, as linked, of the symbols of an image's kernel,
// as the linker itself or dwarf2json says it. Names of several symbols are left
// out, as far as they are known.
func linked(t *testing.T, image testimages.Image) map[string]uint64 {
	t.Helper()
	addr, count := map[string]uint64{}, map[string]int{}
	for _, s := range truthSymbols(t, image) {
		count[s.name]++
	}
	if f, err := os.Open(filepath.Join(image.Truth, "System.map")); err == nil {
		defer f.Close()
		symbols, err := parseSymbols(f)
		if err != nil {
			t.Fatal(err)
		}
		clear(count)
		for _, s := range symbols {
			count[s.name]++
			addr[s.name] = s.addr
		}
	} else {
		for s := range openISF(t, image).Symbols() {
			addr[s.Name] = s.Address
		}
	}
	maps.DeleteFunc(addr, func(name string, a uint64) bool { return count[name] > 1 || a == 0 })
	return addr
}

func openISF(t *testing.T, image testimages.Image) *isf.File {
	t.Helper()
	if image.ISF == "" {
		t.Skip("no ISF of this kernel")
	}
	open, _ := wholeISF.LoadOrStore(image.ISF, sync.OnceValues(func() (*isf.File, error) { return isf.Open(image.ISF) }))
	f, err := open.(func() (*isf.File, error))()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wholeISF are the databases that were opened, by path.
var wholeISF sync.Map

func TestFromMemoryIdentity(t *testing.T) {
	t.Parallel()
	eachImage(t, func(t *testing.T, image testimages.Image, _ vmem.Memory) {
		f, r := wholeDatabase(t, image)
		if image.Truth == "" {
			t.Skip("no truth")
		}
		version, err := os.ReadFile(filepath.Join(image.Truth, "version"))
		if err != nil {
			t.Skip(err)
		}
		if !bytes.Contains(version, []byte(r.Banner+"\n")) || r.Banner == "" {
			t.Errorf("banner %q; /proc/version says %q", r.Banner, version)
		}
		if want := r.Banner + "\n"; f.Banner() != want {
			t.Errorf("the database has the banner %q, want %q", f.Banner(), want)
		}
		if !bytes.Contains(version, []byte(" "+r.Release+" ")) {
			t.Errorf("release %q; /proc/version says %q", r.Release, version)
		}
		if r.ExportsErr != nil {
			t.Error(r.ExportsErr)
		}
		t.Logf("missing: %v", r.Missing)
	})
}

// The whole table of kallsyms is what /proc/kallsyms showed in the guest.
func TestFromMemoryKallsyms(t *testing.T) {
	t.Parallel()
	eachImage(t, func(t *testing.T, image testimages.Image, _ vmem.Memory) {
		want := truthSymbols(t, image)
		got, _, err := finished(t, image).table.decode()
		if err != nil {
			t.Fatal(err)
		}
		// Those of ftrace and kprobe pages, modules and BPF programs have a module's name and are not in want.
		if !slices.Equal(got, want) {
			t.Error(gocmp.Diff(want, got, exportKernelSymbol))
		}
	})
}

// Each address is that which a foreign tool has from vmlinux, unless several
// symbols have the name.
func TestFromMemoryAddresses(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, _ vmem.Memory) {
		want := linked(t, image)
		f, r := wholeDatabase(t, image)
		compared := 0
		for s := range f.Symbols() {
			w, ok := want[s.Name]
			if !ok {
				continue
			}
			compared++
			if w != s.Address {
				t.Errorf("%s at %#x, want %#x", s.Name, s.Address, w)
			}
		}
		t.Logf("%d addresses compared; %d symbols found that no table has", compared, len(r.Found))
		if compared < 40000 {
			t.Error("too few")
		}
	})
}

// With kallsyms as it is without CONFIG_KALLSYMS_ALL, what is found by the
// kernel's own pointers is where a foreign tool has it, and nothing that analysis
// uses is missing.
func TestFromMemoryFunctionsOnly(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		r := withoutSymbols(t, mem, func(inText, exported bool) bool { return !inText && !exported })
		checkFound(t, r, linked(t, image))
		if missing := slices.DeleteFunc(r.Missing, func(n string) bool { return n == "modules" }); len(missing) > 0 {
			t.Errorf("missing: %v", missing)
		}
	})
}

// Without export tables too, the first task and what it points to is found.
func TestFromMemoryFunctionsWithoutExports(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		r := withoutSymbols(t, mem, func(inText, _ bool) bool { return !inText })
		checkFound(t, r, linked(t, image))
		for _, name := range []string{"init_task", "init_pid_ns", "init_net", "init_user_ns", "init_css_set", "init_mm", "init_top_pgt", "linux_banner"} {
			if !slices.ContainsFunc(r.Found, func(s FoundSymbol) bool { return s.Name == name }) {
				t.Errorf("%s not found", name)
			}
		}
	})
}

// withoutSymbols makes a database without the symbols that drop says, unless the
// kernel finds them itself.
func withoutSymbols(t *testing.T, mem vmem.Memory, drop func(inText, exported bool) bool) *Report {
	t.Helper()
	for notes := range notesIn(t.Context(), mem) {
		s := newSearch(mem, notes, MemoryOptions{})
		if !s.inPlace() {
			continue
		}
		if err := errors.Join(s.findTables(t.Context()), s.decode(t.Context())); err != nil {
			t.Fatal(err)
		}
		exports := newSymbolTable(s.findExports(), nil)
		start, _ := s.symbols.find("_stext")
		end, _ := s.symbols.find("_etext")
		s.symbols.sorted = slices.DeleteFunc(s.symbols.sorted, func(k kernelSymbol) bool {
			_, exported := exports.find(k.name)
			return drop(k.addr >= start && k.addr <= end, exported)
		})
		if err := s.findRest(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.report
	}
	t.Fatal("no VMCOREINFO")
	return nil
}

func checkFound(t *testing.T, r *Report, want map[string]uint64) {
	t.Helper()
	found := 0
	for _, s := range r.Found {
		if w, ok := want[s.Name]; ok && w != s.Address {
			t.Errorf("%s at %#x by %s, want %#x", s.Name, s.Address, s.FoundBy, w)
		} else if ok {
			found++
		}
	}
	t.Logf("%d of %d found symbols compared", found, len(r.Found))
}

// Without VMCOREINFO the database is the same.
func TestFromMemoryWithoutNotes(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		want, wantReport := wholeDatabase(t, image)
		got, r, err := newSearch(mem, nil, MemoryOptions{}).run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.KASLRShift != wantReport.KASLRShift || r.TextPhys != wantReport.TextPhys || r.BuildID != wantReport.BuildID || r.Banner != wantReport.Banner {
			t.Errorf("found %+v, want %+v", r, wantReport)
		}
		w, g := contents(want), contents(got)
		onlyNotes := []string{"node_data", "log_buf", "prb", "init_uts_ns"}
		w.Symbols = slices.DeleteFunc(w.Symbols, func(s isf.Symbol) bool { return slices.Contains(onlyNotes, s.Name) })
		g.Symbols = slices.DeleteFunc(g.Symbols, func(s isf.Symbol) bool { return slices.Contains(onlyNotes, s.Name) })
		if diff := differences(w, g); diff != "" {
			t.Error(diff)
		}
	})
}

// What is damaged or was not captured is told by an error that names the part, the
// kernel and a remedy; the other part is in the database.
func TestFromMemoryDamagedTables(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		_, r := wholeDatabase(t, image)
		middle := func(table Table) vmem.PhysAddr {
			return (table.Addr + vmem.PhysAddr(table.Size/2)) &^ (vmem.PageSize - 1)
		}
		for _, c := range []struct {
			name string
			mem  vmem.Memory
			part Part
			why  error
		}{
			{"most of BTF not captured", &holed{mem, vmem.Range[vmem.PhysAddr]{Start: r.BTF.Addr + vmem.PageSize, Size: r.BTF.Size / 2}}, PartBTF, nil},
			{"kallsyms overwritten", &patched{mem, r.Kallsyms.Addr &^ (vmem.PageSize - 1), make([]byte, r.Kallsyms.Size)}, PartKallsyms, nil},
			{"names not captured", &holed{mem, vmem.Range[vmem.PhysAddr]{Start: middle(r.Kallsyms), Size: r.Kallsyms.Size}}, PartKallsyms, nil},
		} {
			if c.name == "names not captured" && !testimages.Thorough() {
				continue // all of memory is searched, as for the one before
			}
			f, got, err := FromMemory(t.Context(), c.mem, nil)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			checkPartial(t, c.name, f, c.part)
			err = cmp.Or(got.TypesErr, got.KallsymsErr)
			missing, ok := errors.AsType[*MissingError](err)
			if !ok || missing.Part != c.part || c.why != nil && !errors.Is(err, c.why) {
				t.Fatalf("%s: %v, want %s and %v", c.name, err, c.part, c.why)
			}
			if missing.Release != r.Release || got.Release != r.Release || !strings.Contains(err.Error(), r.Release) {
				t.Errorf("%s: of kernel %q, want %q: %v", c.name, missing.Release, r.Release, err)
			}
			if missing.BuildID == "" || !strings.Contains(err.Error(), "would help") {
				t.Errorf("%s: no build id or no remedy: %v", c.name, err)
			}
		}
	})
}

// checkPartial checks that a database lacks one part, tells that, and has the other.
func checkPartial(t *testing.T, name string, f *isf.File, lacks Part) {
	t.Helper()
	_, typeErr := f.UserType("task_struct")
	if (typeErr == nil) == (lacks == PartBTF) {
		t.Errorf("%s: task_struct: %v", name, typeErr)
	}
	if !slices.ContainsFunc(f.Lost(), func(err error) bool { return strings.HasPrefix(err.Error(), string(lacks)) }) {
		t.Errorf("%s: lost %v", name, f.Lost())
	}
	if _, err := f.Symbol("init_task"); err != nil { // which is exported
		t.Errorf("%s: %v", name, err)
	}
}

// pagesToDamage is how many pages tests overwrite: one, unless there is time for all.
func pagesToDamage(n int) int {
	if testing.Short() || !testimages.Thorough() {
		return 1
	}
	return n
}

// A page of BTF that was overwritten, or not captured, costs the types on it. What comes
// out is right, and what is missing is told.
func TestFromMemoryDamagedBTF(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		f, r := wholeDatabase(t, image)
		if len(f.Lost()) > 0 {
			t.Fatal(f.Lost())
		}
		want := contents(f)
		random := rand.New(rand.NewPCG(5, 6))
		window := readUpTo(mem, r.BTF.Addr, 1<<20)
		for range pagesToDamage(2) {
			at := (r.BTF.Addr + vmem.PhysAddr(random.IntN(int(r.BTF.Size)))) &^ (vmem.PageSize - 1)
			damages := []vmem.Memory{&holed{mem, vmem.Range[vmem.PhysAddr]{Start: at, Size: vmem.PageSize}}}
			for _, fill := range fillings(window, vmem.PageSize, random) {
				damages = append(damages, &patched{mem, at, fill})
			}
			for i, damaged := range damages {
				f, _, err := FromMemory(t.Context(), damaged, nil)
				if err != nil {
					t.Errorf("page %v, damage %d: %v", at, i, err)
					continue
				}
				c := contents(f)
				for _, wrong := range indexTypes(&want).compare(&c).wrong {
					t.Errorf("page %v, damage %d: %s", at, i, wrong)
				}
				// On some pages there are only names of functions, which are in no database.
				if len(c.Types) < len(want.Types)*6/10 || len(f.Lost()) == 0 && len(c.Types) < len(want.Types) {
					t.Errorf("page %v, damage %d: %d types of %d, lost %v", at, i, len(c.Types), len(want.Types), f.Lost())
				}
			}
		}
	})
}

// Whichever page is overwritten, of all that is read, what comes out is an error,
// or the same database but for what is told to be lost.
func TestFromMemoryDamagedPages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it makes a hundred databases")
	}
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		f, r := wholeDatabase(t, image)
		want := contents(f)
		random := rand.New(rand.NewPCG(3, 4))
		window := readUpTo(mem, r.BTF.Addr, 1<<20)
		start := r.Kallsyms.Addr - 1<<20
		reach := int(r.BTF.Addr - start + vmem.PhysAddr(r.BTF.Size))
		for range pagesToDamage(3) {
			at := (start + vmem.PhysAddr(random.IntN(reach))) &^ (vmem.PageSize - 1)
			for i, fill := range fillings(window, vmem.PageSize, random) {
				f, got, err := FromMemory(t.Context(), &patched{mem, at, fill}, nil)
				if err != nil || got.ExportsErr != nil || len(f.Lost()) > 0 {
					continue
				}
				if diff := differences(want, contents(f)); diff != "" {
					t.Errorf("page %v, filling %d: %s", at, i, diff)
				}
			}
		}
	})
}

// differences compares databases.
func differences(want, got isf.Contents) string {
	if reflect.DeepEqual(want, got) { //nolint:govet // databases hold no errors; much faster than Diff
		return ""
	}
	return gocmp.Diff(want, got)
}

func TestFromMemoryNothing(t *testing.T) {
	t.Parallel()
	mem := &patched{Memory: emptyMemory(4 << 20)}
	f, r, err := FromMemory(t.Context(), mem, nil)
	missing, ok := errors.AsType[*MissingError](err)
	if f != nil || r == nil || !ok || missing.Part != PartKallsyms || !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := FromMemory(ctx, mem, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestKernelConfig(t *testing.T) {
	t.Parallel()
	eachImage(t, func(t *testing.T, image testimages.Image, _ vmem.Memory) {
		_, r := wholeDatabase(t, image)
		config, err := r.KernelConfig(t.Context())
		if errors.Is(err, ErrNoConfig) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		release := fmt.Sprintf(" Linux/x86 %s Kernel Configuration\n", strings.SplitN(r.Release, "-", 2)[0])
		if !bytes.Contains(config, []byte(release)) || !bytes.Contains(config, []byte("\nCONFIG_IKCONFIG=y\n")) {
			t.Errorf("configuration begins with %.200q", config)
		}
		if at, ok := linkedAt(config); !ok || at != linkedText {
			t.Errorf("linked at %#x", at)
		}
	})
}
