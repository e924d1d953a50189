package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux/internal/taskshape"
	"github.com/nodelens/nodelens/vmem"
)

// A symbolSet is symbols with which to open a kernel, and where they are from.
type symbolSet struct {
	file    *isf.File
	from    string
	foreign bool // types are those of another build, that may be otherwise
}

// lacks returns 1 if no task can be read with the types, else 0.
func (s *symbolSet) lacks() int {
	if bindCore(s.file).err != nil || !bindTask(s.file).id.Ok() {
		return 1
	}
	return 0
}

// ownSymbols takes the symbols of a kernel from its image, and says how.
// The error says that there are none, or, beside symbols, that these lack types without which
// no kernel can be read.
func ownSymbols(ctx context.Context, mem vmem.Memory, progress func(string, int64, int64)) (symbolSet, error) {
	f, report, err := btfconv.FromMemory(ctx, mem, &btfconv.MemoryOptions{Progress: progress})
	if err != nil {
		return symbolSet{}, err
	}
	return symbolSet{file: f, from: fmt.Sprintf("the image: %d types of BTF, %d symbols of kallsyms, %d of exports, %d found otherwise",
		report.BTF.Count, report.Kallsyms.Count, report.Exports.Count, len(report.Found))}, report.TypesErr
}

// each calls open with all symbols that the kernel in mem may have, the likeliest first,
// until one fits: the given ones, or the image's own; where these lost something, with
// what layouts of known kernels have of it; and such a layout alone.
func (o *Options) each(ctx context.Context, mem vmem.Memory, open func(symbolSet) error) error {
	own := symbolSet{file: o.Symbols}
	var ownErr error
	if own.file == nil {
		own, ownErr = ownSymbols(ctx, mem, o.Progress)
	}
	if own.file != nil && ownErr == nil && (len(own.file.Lost()) == 0 || len(own.file.Origins()) > 0) {
		return open(own)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	sets, err := o.completed(ctx, mem, own, ownErr)
	if err != nil {
		return err
	}
	// Types that are of this build as far as they are left can lack what no other can add to
	// them, such as the name of a type that others are of.
	slices.SortStableFunc(sets, func(a, b symbolSet) int { return cmp.Compare(a.lacks(), b.lacks()) })
	failed := []error{ownErr}
	for _, s := range sets {
		err := open(s)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed = append(failed, err)
	}
	s, err := inferred(ctx, mem, own)
	if s.file != nil {
		err = open(s)
		if err == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(append(failed, err)...)
}

// completed returns what to try where the image's own symbols are not whole. ownErr says why
// there are none, and own.file is nil; or why they lack needed types.
func (o *Options) completed(ctx context.Context, mem vmem.Memory, own symbolSet, ownErr error) ([]symbolSet, error) {
	known := o.Layouts
	if known == nil {
		known = layouts.Known()
	}
	id, err := identify(ctx, mem, own.file, known)
	if err != nil {
		return nil, err
	}
	var sets []symbolSet
	if own.file != nil {
		sets = completions(own, id.layouts)
		if ownErr == nil {
			sets = append(sets, own)
		}
	}
	for _, l := range id.layouts {
		if l.exact || l.Release == id.release {
			sets = append(sets, alone(l, own.file, ownErr))
		}
	}
	return sets, nil
}

// completions returns own symbols with what each of the layouts adds. Where the likeliest adds
// nothing there is nothing to add.
func completions(own symbolSet, known []layoutCandidate) []symbolSet {
	var sets []symbolSet
	for i, l := range known {
		s, ok := complete(own, l)
		if ok {
			sets = append(sets, s)
		}
		if !ok && i == 0 && l.exact {
			break
		}
	}
	return sets
}

// ErrBorrowed says of symbols that the image lost them, and that they come from elsewhere.
var ErrBorrowed = vmem.NewReason("borrowed", "lost in the image, and from elsewhere")

// minAgree is how many types an image must have left, and share with the layout of another
// build, for that to be believed; and maxDisagree is how many of a hundred may differ.
const (
	minAgree    = 20
	maxDisagree = 5
)

// complete returns own symbols with what they lack and a layout has, and false if that is
// nothing, or the layout is not of such a kernel.
func complete(own symbolSet, l layoutCandidate) (symbolSet, bool) {
	f, conflicts := own.file.Complete(l.file, &isf.CompleteOptions{From: l.String(), Symbols: l.exact})
	added := f.Origins()[len(own.file.Origins()):]
	if len(added) == 0 {
		return symbolSet{}, false
	}
	if shared := sharedTypes(own.file, l.file); !l.exact && (shared < minAgree || 100*len(conflicts) > maxDisagree*shared) {
		return symbolSet{}, false
	}
	text := countOrigins(added) + " from " + l.describe()
	lost := []error{fmt.Errorf("%w: %s", ErrBorrowed, text)}
	if l.exact {
		for i, c := range conflicts {
			if i == maxTried {
				break
			}
			lost = append(lost, fmt.Errorf("%w: %w", btfconv.ErrConflict, c))
		}
	}
	return symbolSet{f.WithLost(lost...), joinText(own.from, text), !l.exact}, true
}

// alone returns the symbols of a layout, as those of a kernel that has lost all of its own.
func alone(l layoutCandidate, own *isf.File, ownErr error) symbolSet {
	var lost []error
	if own != nil {
		lost = own.Lost()
	} else if ownErr != nil {
		lost = append(lost, ownErr)
	}
	empty, err := isf.New(isf.Contents{Lost: lost})
	if err != nil { // there is nothing in it
		return symbolSet{l.file, l.describe(), !l.exact}
	}
	f, _ := empty.Complete(l.file, &isf.CompleteOptions{From: l.String(), Symbols: true})
	text := "all types and symbols from " + l.describe()
	return symbolSet{f.WithLost(fmt.Errorf("%w: %s", ErrBorrowed, text)), text, !l.exact}
}

// inferred returns the symbols of a kernel that has lost its types, and of which no layout is
// known, with those types that lead to its tasks, as the tasks in memory have them. It is for
// where nothing else is left.
func inferred(ctx context.Context, mem vmem.Memory, own symbolSet) (symbolSet, error) {
	if own.file == nil {
		return symbolSet{}, nil
	}
	if _, err := own.file.UserType("task_struct"); err == nil {
		return symbolSet{}, nil
	}
	shape, err := taskshape.Infer(ctx, mem)
	if err != nil {
		return symbolSet{}, fmt.Errorf("a layout inferred from memory: %w", err)
	}
	text := fmt.Sprintf("the layout of tasks from %d processes in memory", shape.Tasks)
	f, _ := own.file.Complete(shape.Types, &isf.CompleteOptions{From: text})
	lost := []error{fmt.Errorf("%w: %s, and no other types", ErrBorrowed, text)}
	for _, what := range shape.Failed {
		lost = append(lost, fmt.Errorf("%w: not inferred from memory: %s", kstruct.ErrUnsupported, what))
	}
	return symbolSet{f.WithLost(lost...), joinText(own.from, text), true}, nil
}

// sharedTypes returns how many types two databases have in common, by name.
func sharedTypes(a, b *isf.File) int {
	n := 0
	for u := range b.UserTypes() {
		if _, err := a.UserType(u.Name); err == nil && len(u.Fields) > 0 && !strings.HasPrefix(u.Name, "unnamed_") {
			n++
		}
	}
	return n
}

// countOrigins says how much was added, such as "2 types, 5 members and 1 symbol".
func countOrigins(added []isf.Origin) string {
	var types, members, symbols int
	for _, o := range added {
		switch kind, _, _ := strings.Cut(o.Object, " "); kind {
		case "field", "enumerators":
			members++
		case "symbol", "bytes":
			symbols++
		default:
			types++
		}
	}
	return fmt.Sprintf("%d types, %d members and %d symbols", types, members, symbols)
}

func joinText(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
