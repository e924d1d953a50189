package pagecache

import (
	"context"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
)

const (
	// maxWalk is how many files a walk gives at most, and maxDeep how deep directories may be.
	maxWalk, maxDeep = 8 << 20, 4096
)

// A walker goes over a tree of directories.
type walker struct {
	f     *FS
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	way   map[place]bool  // the directories that it is in
	files int
	yield func(*File, error) bool
}

// Walk yields a file and all that is below it and in memory, over mounts: a directory before what is in it, and that by name. Links
// are not followed. Names may be of any bytes, but none is empty, ".", "..", or has a slash or a NUL in it. Errors are [vmem.Gap] and do not end the walk, but
// for the context's own and that of the first file; a directory that contains itself is such a gap, and so is all beyond a
// bound of eight million files.
func (f *FS) Walk(ctx context.Context, path string) iter.Seq2[*File, error] {
	return func(yield func(*File, error) bool) {
		top, err := f.Find(path, true)
		if err != nil {
			yield(nil, err)
			return
		}
		w := &walker{f: f, ctx: ctx, way: map[place]bool{}, yield: yield}
		w.file(top)
	}
}

// file yields a file and what is below it, and reports whether to go on.
func (w *walker) file(file *File) bool {
	if w.files++; w.files > maxWalk {
		w.yield(nil, gap("files", file.place.dentry, fmt.Errorf("%w: more than %d files", kstruct.ErrTooLong, maxWalk)))
		return false
	}
	if !w.yield(file, nil) {
		return false
	}
	if !file.IsDir() {
		return true
	}
	if err := w.ctx.Err(); err != nil {
		w.yield(nil, err)
		return false
	}
	switch {
	case w.way[file.place]:
		return w.yield(nil, gap("directory "+file.Path, file.place.dentry, fmt.Errorf("%w: it contains itself", kstruct.ErrCycle)))
	case len(w.way) >= maxDeep:
		return w.yield(nil, gap("directory", file.place.dentry, fmt.Errorf("%w: more than %d directories in each other", kstruct.ErrTooLong, maxDeep)))
	}
	w.way[file.place] = true
	defer delete(w.way, file.place)
	all, gaps := w.f.List(w.ctx, file)
	if err := w.ctx.Err(); err != nil { // what is there of the directory is not all
		w.yield(nil, err)
		return false
	}
	for _, g := range gaps {
		if !w.yield(nil, g) {
			return false
		}
	}
	for _, e := range all {
		if !w.file(e) {
			return false
		}
	}
	return true
}
