package linux

import (
	"github.com/nodelens/nodelens/isf"
)

// A field is the offset of a member in bytes, or absent.
type field uint64

const absent = field(isf.Absent)

func (f field) ok() bool { return f < absent }

// A resolver looks members up. Those that are needed and missing come out together in
// its error.
type resolver struct{ *isf.Resolver }

// need returns the offset of the first path that typ has. Paths are listed newest
// layout first.
func (r resolver) need(typ, path string, others ...string) field {
	return field(r.Type(typ).Offset(path, others...))
}

// opt returns the offset of the first path that typ has, or absent.
func (r resolver) opt(typ, path string, others ...string) field {
	return field(r.OptionalType(typ).OptionalOffset(path, others...))
}

// count returns the number of elements of the array typ.path, or 0.
func (r resolver) count(typ, path string) int {
	t := r.OptionalType(typ)
	if !t.Has(path) {
		return 0
	}
	if f := t.Field(path); f.Type.Kind == isf.KindArray {
		return int(min(f.Type.Count, 1<<16))
	}
	return 0
}

// size returns the size of a user type in bytes, or 0 if there is none of the name.
func (r resolver) size(typ string) uint64 { return r.OptionalType(typ).Size() }

// layouts holds every offset that the package uses, resolved once.
type layouts struct {
	task    taskLayout
	signal  field // signal_struct.thread_head
	threads field // signal_struct.nr_threads
	kthread kthreadLayout
	pid     pidLayout
	xa      xarrayLayout
	ns      nsLayout
	cred    credLayout
	mm      mmLayout
	vma     vmaLayout
	maple   mapleLayout
	fs      fsLayout
	files   filesLayout
	mount   mountLayout
	cgroup  cgroupLayout
	time    timeLayout

	resource resourceLayout
}

func newLayouts(symbols *isf.File) (*layouts, error) {
	r := resolver{isf.NewResolver(symbols)}
	l := &layouts{
		task:    newTaskLayout(r),
		signal:  r.need("signal_struct", "thread_head"),
		threads: r.opt("signal_struct", "nr_threads"),
		kthread: newKthreadLayout(r),
		pid:     newPIDLayout(r),
		xa:      newXarrayLayout(r),
		ns:      newNSLayout(r),
		cred:    newCredLayout(r),
		mm:      newMMLayout(r),
		vma:     newVMALayout(r),
		maple:   newMapleLayout(r),
		fs:      newFSLayout(r),
		files:   newFilesLayout(r),
		mount:   newMountLayout(r),
		cgroup:  newCgroupLayout(r),
		time:    newTimeLayout(r),

		resource: newResourceLayout(r),
	}
	return l, r.Err()
}
