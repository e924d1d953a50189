package linux

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// A field is the offset of a member in bytes, or absent.
type field int64

const absent field = -1

func (f field) ok() bool { return f >= 0 }

// A resolver looks members up and remembers all that are missing, so that one
// error can name them together.
type resolver struct {
	symbols *isf.File
	missing []string
}

// need returns the offset of the first path that typ has, and notes the first as
// missing if it has none. Paths are listed newest layout first.
func (r *resolver) need(typ string, paths ...string) field {
	f := r.opt(typ, paths...)
	if !f.ok() {
		r.missing = append(r.missing, typ+"."+paths[0])
	}
	return f
}

// opt returns the offset of the first path that typ has, or absent.
func (r *resolver) opt(typ string, paths ...string) field {
	for _, p := range paths {
		if f, err := r.symbols.Field(typ, p); err == nil {
			return field(f.Offset)
		}
	}
	return absent
}

// count returns the number of elements of the array typ.path, or 0.
func (r *resolver) count(typ, path string) int {
	f, err := r.symbols.Field(typ, path)
	if err != nil || f.Type == nil || f.Type.Kind != isf.KindArray {
		return 0
	}
	return int(min(f.Type.Count, 1<<16))
}

// size returns the size of a user type in bytes, or 0 if there is none of the name.
func (r *resolver) size(typ string) uint64 {
	t, err := r.symbols.UserType(typ)
	if err != nil {
		return 0
	}
	return t.Size
}

func (r *resolver) err() error {
	if len(r.missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnsupported, strings.Join(r.missing, ", "))
}

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
}

func newLayouts(symbols *isf.File) (*layouts, error) {
	r := &resolver{symbols: symbols}
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
	}
	return l, r.err()
}
