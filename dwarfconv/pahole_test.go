package dwarfconv

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

// TestPahole compares the size of every type, and name, place and size of all members
// with what pahole (Debian's package dwarves) reads from the same file.
func TestPahole(t *testing.T) {
	program, err := exec.LookPath("pahole")
	if err != nil {
		t.Skip(err)
	}
	onKernels(t, func(t *testing.T, k kernel) {
		var want map[string]*paholeType
		pahole(t, program, func(r io.Reader) (err error) { want, err = parsePahole(r); return err }, k.vmlinux)
		pahole(t, program, func(r io.Reader) error { return paholeSizes(r, want) }, "--sizes", k.vmlinux)
		comparePahole(t, convertKernel(t, k), variantsOf(t, k), want)
	})
}

// pahole runs the program and hands parse what it prints.
func pahole(t *testing.T, program string, parse func(io.Reader) error, args ...string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-F", "dwarf"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := parse(out); err != nil {
		t.Error(err)
		_, _ = io.Copy(io.Discard, out) // or pahole waits for a reader
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// paholeSizes takes the sizes of types from a list with a line for each: the name, the
// size and a number. Those of unions are not in the other output.
func paholeSizes(r io.Reader, types map[string]*paholeType) error {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		words := strings.Split(sc.Text(), "\t")
		if len(words) != 3 {
			return fmt.Errorf("%q: three words expected", sc.Text())
		}
		if !paholeC.MatchString(words[0]) {
			continue // of Rust
		}
		size, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			return err
		}
		if p := types[words[0]]; p == nil {
			return fmt.Errorf("%s is in only one of pahole's outputs", words[0])
		} else if p.kind == "union" {
			p.size = size
		}
	}
	return sc.Err()
}

func comparePahole(t *testing.T, got *isf.File, variants map[string][]*isf.UserType, want map[string]*paholeType) {
	t.Helper()
	members := 0
	for name, w := range want {
		u, err := got.UserType(name)
		if err != nil {
			t.Error(err)
			continue
		}
		members += len(w.members)
		have := asPahole(got, u)
		if have.equal(w, variants) || slices.ContainsFunc(variants[name], func(v *isf.UserType) bool { return asPahole(got, v).equal(w, variants) }) {
			continue
		}
		t.Errorf("%s %s:\n got %v\nwant %v", w.kind, name, have, w)
	}
	t.Logf("%d types with %d members", len(want), members)
}

// A paholeType is a type as pahole prints it, with the members of unnamed types
// among those of the outermost one.
type paholeType struct {
	kind    string
	size    uint64
	members []string // path@bit+size or path@bit:bits, sorted; of ours with the name of the type
}

// equal compares what variants do not matter for: the size of a member is that of its
// type, of which ISF can have but one.
func (p *paholeType) equal(q *paholeType, variants map[string][]*isf.UserType) bool {
	return p.kind == q.kind && p.size == q.size && slices.EqualFunc(p.members, q.members, func(a, b string) bool {
		a, disputed, _ := strings.Cut(a, " ")
		if disputed != "" && len(variants[disputed]) > 1 {
			a, _, _ = strings.Cut(a, "+")
			b, _, _ = strings.Cut(b, "+")
		}
		return a == b
	})
}

func asPahole(f *isf.File, u *isf.UserType) *paholeType {
	return &paholeType{kind: kindNames[u.Kind], size: u.Size, members: flatten(f, u, "", 0)}
}

func (p *paholeType) String() string { return fmt.Sprintf("%s %d %s", p.kind, p.size, p.members) }

// flatten returns the members of u as paholeType has them. prefix and base are those
// of the member that u is the type of.
func flatten(f *isf.File, u *isf.UserType, prefix string, base uint64) []string {
	var all []string
	for _, m := range u.Fields {
		name := m.Name
		if m.Anonymous {
			name = ""
		}
		if m.Type.Kind == isf.KindBitfield {
			all = append(all, fmt.Sprintf("%s%s@%d:%d", prefix, name, 8*(base+m.Offset)+uint64(m.Type.BitPosition), m.Type.BitLength))
			continue
		}
		size, err := f.SizeOf(m.Type)
		if err != nil {
			size = 0 // an array of a type that is only declared, which can't be
		}
		all = append(all, fmt.Sprintf("%s%s@%d+%d %s", prefix, name, 8*(base+m.Offset), size, m.Type.Name))
		if inner := unnamedType(f, m.Type); inner != nil {
			all = append(all, flatten(f, inner, prefix+name+".", base+m.Offset)...)
		}
	}
	slices.Sort(all)
	return all
}

// unnamedType returns the unnamed struct or union that t is, or an array of.
func unnamedType(f *isf.File, t *isf.Type) *isf.UserType {
	for t.Kind == isf.KindArray {
		t = t.Elem
	}
	if !isUser(t) || !isUnnamed(t.Name) {
		return nil
	}
	u, err := f.UserType(t.Name)
	if err != nil {
		return nil
	}
	return u
}

var (
	paholeOpen      = regexp.MustCompile(`^\s*(?:const |volatile )*(struct|union|enum)\s*([A-Za-z_0-9]*)\s*\{$`)
	paholeClose     = regexp.MustCompile(`^\s*\}\s*(.*)$`)
	paholePlace     = regexp.MustCompile(`/\*\s+(\d+)(?::\s*(\d+))?\s+(\d+)\s+\*/`)
	paholeSize      = regexp.MustCompile(`^\s*/\* size: (\d+),`)
	paholeName      = regexp.MustCompile(`([A-Za-z_][A-Za-z_0-9]*)\s*(?:\[[^]]*\]\s*)*(?::\s*(\d+)\s*)?$`)
	paholeAttribute = regexp.MustCompile(`__attribute__\(\(\w+(?:\(\d+\))?\)\)`)
	paholeC         = regexp.MustCompile(`^\w+$`)
	paholeTag       = regexp.MustCompile(`^(struct|union) \w+$`) // unnamed, with -fms-extensions
	paholeEmpty     = regexp.MustCompile(`^(struct|union) (\w+) \{\s*\};?$`)
	paholeCalled    = regexp.MustCompile(`\(\s*\*+\s*(?:const |volatile )*\(?\**\s*([A-Za-z_][A-Za-z_0-9]*)`)
)

// A paholeFrame is a struct, union or enum that is not closed yet.
type paholeFrame struct {
	typ  *paholeType
	name string
	// with these a member's path is made only once the name is known that comes
	// after the closing brace
	members []paholeMember
}

type paholeMember struct {
	path  string
	place string
}

// parsePahole parses pahole's output, all of it.
func parsePahole(r io.Reader) (map[string]*paholeType, error) {
	types := map[string]*paholeType{}
	var stack []*paholeFrame
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if m := paholeOpen.FindStringSubmatch(line); m != nil {
			stack = append(stack, &paholeFrame{typ: &paholeType{kind: m[1]}, name: m[2]})
			continue
		}
		if len(stack) == 0 {
			if m := paholeEmpty.FindStringSubmatch(line); m != nil {
				types[m[2]] = &paholeType{kind: m[1]}
			}
			continue
		}
		top := stack[len(stack)-1]
		if m := paholeSize.FindStringSubmatch(line); m != nil && len(stack) == 1 {
			size, err := strconv.ParseUint(m[1], 10, 64)
			if err != nil {
				return nil, err
			}
			top.typ.size = size
			continue
		}
		if m := paholeClose.FindStringSubmatch(line); m != nil {
			stack = stack[:len(stack)-1]
			if len(stack) == 0 {
				types[top.name] = top.finish()
			} else if err := stack[len(stack)-1].adopt(top, m[1]); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			continue
		}
		if top.typ.kind != "enum" {
			if err := top.member(line); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return types, sc.Err()
}

func (f *paholeFrame) finish() *paholeType {
	for _, m := range f.members {
		f.typ.members = append(f.typ.members, m.path+m.place)
	}
	slices.Sort(f.typ.members)
	return f.typ
}

// member adds the member that a line declares, if it does.
func (f *paholeFrame) member(line string) error {
	at := paholePlace.FindStringSubmatch(line)
	decl, _, ok := strings.Cut(line, ";")
	if at == nil || !ok {
		return nil // a comment, or padding
	}
	name, bits, err := declared(strings.TrimSpace(decl))
	if err != nil {
		return err
	}
	place, err := placeOf(at, bits)
	if err != nil {
		return err
	}
	f.members = append(f.members, paholeMember{name, place})
	return nil
}

// adopt adds the member whose unnamed type is inner; rest is what follows its brace.
func (f *paholeFrame) adopt(inner *paholeFrame, rest string) error {
	at := paholePlace.FindStringSubmatch(rest)
	decl, _, ok := strings.Cut(rest, ";")
	if at == nil || !ok {
		return nil // the type alone, as clang nests it; the member comes later
	}
	name, bits, err := declared(strings.TrimSpace(decl))
	if err != nil {
		return err
	}
	place, err := placeOf(at, bits)
	if err != nil {
		return err
	}
	f.members = append(f.members, paholeMember{name, place})
	if strings.Contains(decl, "*") || inner.typ.kind == "enum" {
		return nil // a pointer to it
	}
	for _, m := range inner.members {
		f.members = append(f.members, paholeMember{name + "." + m.path, m.place})
	}
	return nil
}

// declared returns the name that a declaration declares, and the size of a bit field.
func declared(decl string) (name, bits string, err error) {
	decl = strings.TrimSpace(paholeAttribute.ReplaceAllString(decl, ""))
	if decl == "" || paholeTag.MatchString(decl) {
		return "", "", nil
	}
	if m := paholeCalled.FindStringSubmatch(decl); m != nil {
		return m[1], "", nil
	}
	m := paholeName.FindStringSubmatch(decl)
	if m == nil {
		return "", "", fmt.Errorf("no name")
	}
	return m[1], m[2], nil
}

// placeOf writes a place as flatten does.
func placeOf(at []string, bits string) (string, error) {
	off, err := strconv.ParseUint(at[1], 10, 64)
	if err != nil {
		return "", err
	}
	if at[2] == "" {
		return fmt.Sprintf("@%d+%s", 8*off, at[3]), nil
	}
	bit, err := strconv.ParseUint(at[2], 10, 64)
	return fmt.Sprintf("@%d:%s", 8*off+bit, bits), err
}
