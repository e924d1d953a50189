package integrity

import (
	"context"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// tables are what is read, in the order of the report. Each function yields the hooks of a table or of several
// that belong together, and is in a file of its own.
var tables = [...]func(*reader){
	readSyscallEntries,
	readSyscalls,
	readIDT,
	readFtrace,
	readKprobes,
	readTracepoints,
	readUprobes,
	readEvents,
	readPerf,
	readNetfilter,
	readProc,
	readLSM,
	readRegistries,
	readNotifiers,
	readSingles,
	readPackets,
	readIRQs,
	readTimers,
	readHRTimers,
	readKthreads,
	readBranches,
	readPerfHandlers,
}

// A reader reads tables.
type reader struct {
	*Checker
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	yield func(Hook, error) bool
	over  bool // nothing more is to be yielded

	types   map[string][]slot      // pointers to functions, by the type that has them
	doubted map[vmem.VirtAddr]bool // of pointers in these, those that were told to be suspect
	home    string                 // whose code alone is to be called, as far as that is known
	told    map[vmem.VirtAddr]bool // structures of functions that were yielded
}

// found yields a hook, and reports whether to go on.
func (r *reader) found(h Hook) bool {
	r.over = r.over || !r.yield(h, nil)
	return !r.over
}

// lost yields what was lost, and reports whether to go on.
func (r *reader) lost(object string, at vmem.VirtAddr, err error) bool {
	r.over = r.over || !r.yield(Hook{}, vmem.NewGap(object, vmem.KernelPlace(at), err))
	return !r.over
}

// alive reports whether to go on; where the context is done, it yields its error.
func (r *reader) alive() bool {
	if err := r.ctx.Err(); err != nil && !r.over {
		r.over = true
		r.yield(Hook{}, err)
	}
	return !r.over
}

// walk returns a walk over containers that hold object.
func (r *reader) walk(object string) *kstruct.Walk {
	return r.k.Objects().Walk(r.ctx, &kstruct.WalkOptions{Object: object, Nodes: maxNodes, Gaps: r.k.Limits().Gaps})
}

// maxNodes is how many nodes of one table are visited.
const maxNodes = 1 << 20
