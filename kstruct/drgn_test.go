package kstruct_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/dwarfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// How many addresses are read by each structure that package linux binds, and by each other.
const boundReadings, otherReadings = 1000, 2

// Every structure that linux binds reads at a thousand random addresses as drgn reads it,
// and every other one at a few; with types from the vmlinux, and with those of the image's
// own BTF. interop/drgn runs this test, which needs drgn, an image and its vmlinux.
func TestDrgn(t *testing.T) {
	python, img, vmlinux := os.Getenv("NODELENS_DRGN_PYTHON"), os.Getenv("NODELENS_DRGN_IMAGE"), os.Getenv("NODELENS_DRGN_VMLINUX")
	if python == "" || img == "" || vmlinux == "" {
		t.Skip("NODELENS_DRGN_PYTHON, NODELENS_DRGN_IMAGE and NODELENS_DRGN_VMLINUX are not set")
	}
	spaces := drgnSpaces(t, img, vmlinux)
	bound := boundTypes(t)
	var request bytes.Buffer
	for _, name := range bound {
		fmt.Fprintln(&request, name, boundReadings)
	}
	for u := range spaces[0].space.Types().UserTypes() {
		if name := u.Kind.String() + " " + u.Name; !strings.HasPrefix(u.Name, "unnamed_") && !slices.Contains(bound, name) {
			fmt.Fprintln(&request, name, otherReadings)
		}
	}
	for _, name := range []string{"init_task", "init_mm", "init_net", "init_cred", "init_user_ns", "init_pid_ns", "root_task_group", "tcp_prot", "tk_core"} {
		fmt.Fprintln(&request, "print", name)
	}
	cmd := exec.Command(python, filepath.Join("..", "interop", "drgnread.py"), img, vmlinux)
	cmd.Stdin, cmd.Stderr = &request, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		s.bound = bound
	}
	d := json.NewDecoder(out)
	d.UseNumber()
	for {
		var r reading
		if err := d.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, s := range spaces {
			s.compare(t, r)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	for _, s := range spaces {
		s.report(t)
	}
}

// A drgnSpace is what drgn is compared with.
type drgnSpace struct {
	name  string
	space *kstruct.Space
	bound []string

	values, reads, faults, nulls int
	signs                        int             // enumerations of another sign
	printed                      int             // variables that were printed
	types                        map[string]bool // that were read
	other                        map[string]bool // that are not those of drgn: kernels have several of one name
	wrong                        int
}

// drgnSpaces returns the image with types from the vmlinux, and with its own.
func drgnSpaces(t *testing.T, img, vmlinux string) []*drgnSpace {
	t.Helper()
	ctx := context.Background()
	mem, err := image.Open(ctx, img, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mem.Close() })
	f, err := os.Open(vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	dwarf, err := dwarfconv.Convert(ctx, f, info.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []*drgnSpace
	for name, types := range map[string]*isf.File{"DWARF": dwarf, "BTF": nil} {
		k, err := linux.Open(ctx, mem, &linux.Options{Symbols: types})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &drgnSpace{name: name, space: k.Objects(), types: map[string]bool{}, other: map[string]bool{}})
	}
	slices.SortFunc(all, func(a, b *drgnSpace) int { return strings.Compare(b.name, a.name) })
	return all
}

// boundTypes returns the structures that package linux binds, by its source.
func boundTypes(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`\bBind(?:Optional)?(?:Member|Field)?(?:\[[^]]*\])?\(b, "(\w+)"|\br\.(?:field|pointer|sized|within|words|Type|OptionalType)\("(\w+)"`)
	found := map[string]bool{}
	for _, dir := range []string{"linux", filepath.Join("linux", "*"), "kstruct"} {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range call.FindAllStringSubmatch(string(text), -1) {
				found["struct "+m[1]+m[2]] = !strings.HasSuffix(name, "_test.go") || found["struct "+m[1]+m[2]]
			}
		}
	}
	var names []string
	for name, ok := range found {
		if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) < 40 {
		t.Fatalf("linux binds no more than %q", names)
	}
	return names
}

// A reading is what drgn read.
type reading struct {
	typ   string
	size  *uint64
	addr  uint64
	value any
}

func (r *reading) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return decodeArray(d, &r.typ, &r.size, &r.addr, &r.value)
}

func decodeArray(d *json.Decoder, parts ...any) error {
	if _, err := d.Token(); err != nil {
		return err
	}
	for _, p := range parts {
		if err := d.Decode(p); err != nil {
			return err
		}
	}
	return nil
}

// compare reads what drgn read.
func (s *drgnSpace) compare(t *testing.T, r reading) {
	if variable, ok := strings.CutPrefix(r.typ, "print "); ok {
		s.comparePrinted(t, variable, r.value)
		return
	}
	v := s.space.Struct(r.typ, vmem.VirtAddr(r.addr))
	if v.Err() != nil || r.size == nil {
		if slices.Contains(s.bound, r.typ) && (v.Err() == nil) != (r.size != nil) {
			s.fail(t, "%s: known to one only: %v", r.typ, v.Err())
		}
		s.nulls++
		return
	}
	if v.Size() != *r.size {
		s.another(t, r.typ, "%d bytes, drgn %d", v.Size(), *r.size)
		return
	}
	s.types[r.typ] = true
	s.reads++
	if r.value == nil {
		s.faults++
		if _, err := v.Bytes(); err == nil {
			s.fail(t, "%s at %#x: read, which drgn can't", r.typ, r.addr)
		}
		return
	}
	s.same(t, r.typ, v, r.value)
}

// comparePrinted compares what is printed of a variable, line by line but in any order, for
// members of one offset come by name here. drgn follows null pointers to text where there
// is memory at 0.
func (s *drgnSpace) comparePrinted(t *testing.T, variable string, drgn any) {
	want, ok := drgn.(string)
	v := s.space.Object(variable)
	if !ok || s.name == "BTF" && errors.Is(v.Err(), kstruct.ErrUnsupported) {
		return // not in this kernel, or of unknown type
	}
	want = regexp.MustCompile(`= 0x0 = ".*"`).ReplaceAllString(want, "= 0x0")
	var got strings.Builder
	if err := (&kstruct.Printer{OmitTypes: true, OmitSymbols: true}).Print(&got, v); err != nil {
		s.fail(t, "%v", err)
	}
	wantLines, gotLines := strings.Split(want, "\n"), strings.Split(got.String(), "\n")
	slices.Sort(wantLines)
	slices.Sort(gotLines)
	if d := cmp.Diff(wantLines, gotLines); d != "" {
		s.fail(t, "%s as it is printed (-drgn +ours):\n%s", variable, d)
	}
	s.printed++
}

// another notes a type that is not that of drgn.
func (s *drgnSpace) another(t *testing.T, name, format string, args ...any) {
	s.other[name] = true
	if slices.Contains(s.bound, name) {
		s.fail(t, name+": "+format, args...)
	}
}

func (s *drgnSpace) fail(t *testing.T, format string, args ...any) {
	if s.wrong++; s.wrong <= 20 {
		t.Errorf(s.name+": "+format, args...)
	}
}

// same compares a value with all that it holds.
func (s *drgnSpace) same(t *testing.T, name string, v kstruct.Value, want any) {
	switch want := want.(type) {
	case map[string]any:
		s.members(t, name, v, want)
	case []any:
		want = rows(want, v.Type())
		if v.Len() != len(want) {
			s.another(t, name, "%d elements of %v, drgn %d", v.Len(), v.Addr(), len(want))
			return
		}
		for i, w := range want {
			s.same(t, name, v.Index(i), w)
		}
	default:
		s.values++
		got := asJSON(v)
		switch {
		case got == fmt.Sprint(want):
		case v.Type().Kind == isf.KindEnum && sameBits(got, fmt.Sprint(want)):
			s.signs++
		default:
			s.fail(t, "%s: %v at %v: %s, drgn %v", name, v.Type(), v.Addr(), got, want)
		}
	}
}

// sameBits reports whether two numbers are the same but for the sign of 32 bits. BTF does
// not tell it of enumerations before 6.0.
func sameBits(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && uint32(x) == uint32(y)
}

// rows returns the elements of an array as t has them: pahole writes arrays of arrays to BTF
// as one array of all their elements.
func rows(want []any, t *isf.Type) []any {
	for len(want) > 0 && t.Kind == isf.KindArray && t.Elem.Kind != isf.KindArray {
		if _, nested := want[0].([]any); !nested {
			break
		}
		var all []any
		for _, row := range want {
			all = append(all, row.([]any)...)
		}
		want = all
	}
	return want
}

func (s *drgnSpace) members(t *testing.T, name string, v kstruct.Value, want map[string]any) {
	n := 0
	for member, m := range v.Fields() {
		w, ok := want[member]
		if !ok && m.Type().Kind == isf.KindArray && m.Type().Count == 0 {
			continue // drgn has no value for a flexible array
		}
		if !ok {
			s.another(t, name, "member %s, not known to drgn", member)
			return
		}
		n++
		s.same(t, name, m, w)
	}
	if n != len(want) {
		s.another(t, name, "%d members at %v, drgn %d", n, v.Addr(), len(want))
	}
}

// asJSON returns a number as Python's JSON has it.
func asJSON(v kstruct.Value) string {
	t := v.Type()
	if t.Kind == isf.KindBitfield {
		t = t.Elem
	}
	if t.Name == "_Bool" {
		b, err := v.Bool()
		return orError(strconv.FormatBool(b), err)
	}
	if i, err := v.Int(); err == nil {
		return strconv.FormatInt(i, 10)
	}
	if u, err := v.Uint(); err == nil {
		return strconv.FormatUint(u, 10)
	}
	b, err := v.Bytes()
	switch {
	case err == nil && v.Type().Name == "double":
		return strconv.FormatFloat(math.Float64frombits(le(b).Uint64()), 'g', -1, 64)
	case err == nil && len(b) == 16:
		x := le(b)
		if !strings.Contains(v.Type().Name, "unsigned") && x.Bit(127) == 1 {
			x.Sub(x, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		return x.String()
	}
	return orError("", err)
}

func le(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func orError(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

func (s *drgnSpace) report(t *testing.T) {
	t.Logf("%s: %d values of %d types in %d readings, %d of them unreadable; %d readings of types that one side lacks; %d types are others of the same name; the sign of %d enumerations differs; %d variables printed",
		s.name, s.values, len(s.types), s.reads, s.faults, s.nulls, len(s.other), s.signs, s.printed)
	if s.wrong > 20 {
		t.Errorf("%s: %d more", s.name, s.wrong-20)
	}
	t.Logf("%s: others: %v", s.name, slices.Sorted(maps.Keys(s.other)))
	for _, name := range s.bound {
		if !s.types[name] {
			t.Logf("%s: %s is not in this kernel", s.name, name)
		}
	}
	if s.values < 1_000_000 {
		t.Errorf("no more than %d values were compared", s.values)
	}
}
