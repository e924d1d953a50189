package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

const (
	// maxFDs bounds a descriptor table: far above any sysctl fs.nr_open in use.
	maxFDs = 1 << 24
	// ownFDs is how many descriptors the table has that is part of files_struct
	// (NR_OPEN_DEFAULT, include/linux/fdtable.h).
	ownFDs = 64
	// maxBadFDs is how many entries that lead to no file end a descriptor table: it is then
	// taken to be overwritten.
	maxBadFDs = 64
	// fdPiece is how many descriptors are read at a time.
	fdPiece = 512
)

// A filesStruct is struct files_struct (include/linux/fdtable.h).
type filesStruct struct {
	Table vmem.VirtAddr `kernel:"fdt"`
	Own   vmem.VirtAddr `kernel:"&fdtab"` // the table of a process with few files
	Users int32         `kernel:"count.counter"`
}

// An fdTable is struct fdtable.
type fdTable struct {
	Max   uint32        `kernel:"max_fds"`
	Files vmem.VirtAddr `kernel:"fd"`            // an array of pointers
	Open  vmem.VirtAddr `kernel:"open_fds"`      // a bit for each that is in use
	Close vmem.VirtAddr `kernel:"close_on_exec"` // follows open_fds at once, if both were allocated
}

// size returns how many descriptors a table has by where its bitmaps are (alloc_fdtable of
// fs/file.c), and whether that makes sense.
func (t *fdTable) size(own bool) (uint64, bool) {
	if own {
		return ownFDs, true
	}
	n := uint64(t.Close-t.Open) * 8
	return n, t.Close > t.Open && n <= maxFDs && n%64 == 0
}

// Files yields the open files of the task by ascending descriptor (linux.lsof of
// Volatility shows the like), up to [Limits]. Errors are [vmem.Gap] and do not end the walk, but for the
// context's own. With the error for a file whose path can't be read comes the FD without
// its path; with others an FD without an address.
//
// A descriptor is in use if its bit is set (fdtable.open_fds), and the table has as many
// as that bitmap has room for, whatever max_fds says.
func (t *Task) Files(ctx context.Context) iter.Seq2[FD, error] { return t.fds(ctx, false) }

// Descriptors is [Task.Files] without the paths, for who wants to know what is open and reads
// the files otherwise: it is many times faster. That an entry leads to no file is not told.
func (t *Task) Descriptors(ctx context.Context) iter.Seq2[FD, error] { return t.fds(ctx, true) }

// fds yields the open files, with their paths or without.
func (t *Task) fds(ctx context.Context, bare bool) iter.Seq2[FD, error] {
	return func(yield func(FD, error) bool) {
		t.k.refresh()
		files, table, at, err := t.fdTable()
		switch {
		case err == ErrNone: //nolint:errorlint // it is never wrapped
			return
		case err != nil:
			yield(FD{}, t.lost("open files", at, err))
			return
		}
		w := fdWalk{Task: t, table: table, at: at, users: int(files.Users), bare: bare, losses: t.k.losses(), yield: yield}
		w.run(ctx, at == files.Own)
	}
}

// fdTable returns the task's descriptor table, and where it was read or lost. The error is
// ErrNone for a task that has exited.
func (t *Task) fdTable() (f filesStruct, table fdTable, at vmem.VirtAddr, err error) {
	k, v := t.k, &t.k.views.files
	files, err := v.of.Load(k.space, t.Addr)
	switch {
	case err != nil:
		return f, table, t.Addr, cause(err, v.err)
	case files == 0:
		return f, table, t.Addr, t.without("files_struct")
	}
	if f, err = v.files.Load(k.space, files); err != nil {
		return f, table, files, cause(err, v.err)
	}
	table, err = v.table.Load(k.space, f.Table)
	return f, table, f.Table, cause(err, v.err)
}

// An fdWalk goes over a descriptor table.
type fdWalk struct {
	*Task
	table  fdTable
	at     vmem.VirtAddr // of the fdtable
	users  int           // tasks that have it
	bare   bool          // no paths are wanted
	losses losses
	yield  func(FD, error) bool
	over   bool

	words [fdPiece * 8]byte // of the table, as much as is read at a time
	set   [fdPiece / 8]byte // and of its bitmap

	told     int // descriptors
	open     int // bits that are set
	bad      int // entries that lead to no file
	reserved int // descriptors without a file
	strays   int // files without a descriptor
	stray    int // the first one of them
}

// tell yields a Gap.
func (w *fdWalk) tell(what string, at vmem.VirtAddr, err error) {
	if !w.over && !w.yield(FD{}, w.lost(what, at, err)) {
		w.over = true
	}
}

func (w *fdWalk) run(ctx context.Context, own bool) {
	n := uint64(w.table.Max)
	if size, ok := w.table.size(own); ok && size != n {
		w.tell("open files", w.at, fmt.Errorf("%w: table of %d entries, with a bitmap of %d", ErrDisagree, n, size))
		n = min(n, size)
	}
	if n > maxFDs {
		w.tell("open files", w.at, fmt.Errorf("%w: descriptor table of %d entries", kstruct.ErrCorrupt, n))
		return
	}
	for first := 0; first < int(n) && !w.over; first += fdPiece {
		if err := ctx.Err(); err != nil {
			w.yield(FD{}, err)
			return
		}
		if !w.piece(first, min(fdPiece, int(n)-first)) {
			break
		}
	}
	w.end()
}

// piece reads n descriptors and reports whether to go on: not behind what can't be read,
// for what follows is as likely not the table.
func (w *fdWalk) piece(first, n int) bool {
	words, set := w.words[:], w.set[:]
	at := w.table.Files + vmem.VirtAddr(first*8)
	got, err := w.k.space.ReadVirt(words[:n*8], at)
	bitmap := set[:(n+7)/8]
	if _, lost := w.k.space.ReadVirt(bitmap, w.table.Open+vmem.VirtAddr(first/8)); lost != nil {
		w.tell("which files are open", w.table.Open, lost)
		for i := range bitmap { // what has a file is then taken to be
			bitmap[i] = 0xff
		}
		w.users = fdPiece
	}
	for i := range got / 8 {
		file := vmem.VirtAddr(binary.LittleEndian.Uint64(words[i*8:]))
		if bitmap[i/8]>>(i%8)&1 == 0 {
			w.without(first+i, file)
		} else if !w.entry(first+i, file) {
			return false
		}
	}
	if err != nil {
		w.tell(fmt.Sprintf("open files from %d on", first+got/8), at, err)
	}
	return err == nil
}

// without counts an entry whose bit is not set.
func (w *fdWalk) without(n int, file vmem.VirtAddr) {
	if file == 0 {
		return
	}
	if w.strays == 0 {
		w.stray = n
	}
	w.strays++
}

// entry tells an entry whose bit is set, and reports whether to go on.
func (w *fdWalk) entry(n int, file vmem.VirtAddr) bool {
	w.open++
	switch {
	case file == 0:
		w.reserved++
		return true
	case w.told >= w.k.limits.FDs:
		return true
	}
	w.told++
	fd := FD{FD: n, Addr: file}
	if w.bare {
		w.over = !w.yield(fd, nil)
		return !w.over
	}
	var err error
	if fd.Path, err = w.k.filePath(file); err != nil {
		if !errors.Is(err, kstruct.ErrTooLong) { // that is a file all the same
			w.bad++
		}
		if g := newGap(fmt.Sprintf("open file %d of %v", n, w.Task), file, err); w.losses.tell(g) {
			err = g
		} else {
			err = nil
		}
	}
	w.over = !w.yield(fd, err)
	if w.bad == maxBadFDs {
		w.tell(fmt.Sprintf("open files from %d on", n+1), file, fmt.Errorf("%w: %d entries that are no files", kstruct.ErrCorrupt, w.bad))
		return false
	}
	return !w.over
}

// end tells what the whole of the table has and is not told one by one.
func (w *fdWalk) end() {
	if files := w.open - w.reserved; files > w.told {
		w.tell("open files", w.at, fmt.Errorf("%w: %d files are open, of which %d are told", kstruct.ErrTooMany, files, w.told))
	}
	if w.strays > 0 {
		w.tell("open files", w.table.Open, fmt.Errorf("%w: %d entries of the table are not open by its bitmap, the first is %d", kstruct.ErrCorrupt, w.strays, w.stray))
	}
	// A task that waits for what it opens has a descriptor for it already (accept4 of
	// net/socket.c).
	if w.reserved > max(w.users, 1) {
		w.tell("open files", w.table.Files, fmt.Errorf("%w: %d are open by the bitmap and have no file", ErrDisagree, w.reserved))
	}
	for _, g := range w.losses.rest("open files of " + w.String()) {
		w.tell("open files", w.at, g)
	}
}
