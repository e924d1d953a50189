package linux

import (
	"bytes"
	"context"
	"errors"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// views are what the structures of a kernel are read with. Each group is bound by itself
// when the kernel is opened, and so fails by itself: what the types lack is its err, and
// the loss of what it is for.
type views struct {
	idle     idleViews
	task     taskViews
	core     coreViews
	links    linkViews
	threads  threadViews
	kthread  kthreadViews
	pid      pidViews
	cred     credViews
	ns       nsViews
	nsFile   nsFileViews
	time     timeViews
	mm       mmViews
	vma      vmaViews
	paths    pathViews
	dirs     dirViews
	exe      exeViews
	files    fileViews
	mount    mountViews
	cgroup   cgroupViews
	resource resourceViews
}

func newViews(types *isf.File) *views {
	return &views{
		idle:     bindIdle(types),
		task:     bindTask(types),
		core:     bindCore(types),
		links:    bindLinks(types),
		threads:  bindThreads(types),
		kthread:  bindKthread(types),
		pid:      bindPID(types),
		cred:     bindCred(types),
		ns:       bindNS(types),
		nsFile:   bindNSFile(types),
		time:     bindTime(types),
		mm:       bindMM(types),
		vma:      bindVMA(types),
		paths:    bindPaths(types),
		dirs:     bindDirs(types),
		exe:      bindExe(types),
		files:    bindFiles(types),
		mount:    bindMount(types),
		cgroup:   bindCgroup(types),
		resource: bindResource(types),
	}
}

// cause returns err, and where it says no more than that something was not bound, what the
// types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

// walk returns a walk over containers of the kernel that hold object, and visits so many
// nodes at most.
func (k *Kernel) walk(ctx context.Context, object string, nodes int) *kstruct.Walk {
	return k.objects.Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: nodes, Gaps: k.limits.Gaps})
}

// text returns b up to its first NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// copyAt fills p with what is at addr in the kernel. Unlike ReadVirt it keeps p where it
// is, so that p may lie on the stack.
func (k *Kernel) copyAt(p []byte, addr vmem.VirtAddr) error {
	for n := 0; n < len(p); {
		data, err := k.space.View(addr+vmem.VirtAddr(n), len(p)-n)
		if err != nil {
			return err
		}
		n += copy(p[n:], data)
	}
	return nil
}

// refresh begins a walk: what it reads of a running machine is not older than now.
func (k *Kernel) refresh() { k.phys.Refresh() }
