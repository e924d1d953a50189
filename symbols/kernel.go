package symbols

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Kernel is what an image says about its kernel to who has no symbols of it. What a
// method returns is read from the image when it is first asked for. It is safe for
// concurrent use.
type Kernel struct {
	mem      vmem.Memory
	progress func(stage string, done, total int64)

	mu      sync.Mutex // guards all below
	noted   bool
	notes   *vmcoreinfo.Info // nil: none
	placed  bool             // notes are those of the kernel in mem
	scanned bool
	banners []string
	builds  []string
}

// Identify returns the kernel of an image. progress, if not nil, is told what takes long:
// what is being done, and how many bytes of how many are done.
func Identify(mem vmem.Memory, progress func(stage string, done, total int64)) *Kernel {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	return &Kernel{mem: mem, progress: progress}
}

// Progress tells whoever waits what is being done, and how many bytes of how many are
// done; a total below 1 is not known.
func (k *Kernel) Progress(stage string, done, total int64) { k.progress(stage, done, total) }

// Memory returns the image.
func (k *Kernel) Memory() vmem.Memory { return k.mem }

// Release returns the kernel's release as uname -r has it, or the empty string. It is
// what VMCOREINFO says. The error is that of ctx.
func (k *Kernel) Release(ctx context.Context) (string, error) {
	notes, _, err := k.readNotes(ctx)
	if notes == nil {
		return "", err
	}
	return notes.Release(), nil
}

// BuildID returns the build id of the kernel's vmlinux in lower-case hexadecimal, or the
// empty string. It is what VMCOREINFO says, and so a hint: see [vmcoreinfo.Info.BuildID].
// The error is that of ctx.
func (k *Kernel) BuildID(ctx context.Context) (string, error) {
	notes, _, err := k.readNotes(ctx)
	if notes == nil || !isBuildID(notes.BuildID()) {
		return "", err
	}
	return notes.BuildID(), nil
}

// isBuildID reports whether s is a build id: hexadecimal digits of at least 8 bytes, in
// lower case. It makes file names and URLs.
func isBuildID(s string) bool {
	return len(s) >= 16 && len(s) <= 128 && len(s)%2 == 0 && strings.Trim(s, "0123456789abcdef") == ""
}

// readNotes returns VMCOREINFO, nil where there is none, and whether it is certain that
// the kernel in the image wrote it.
func (k *Kernel) readNotes(ctx context.Context) (notes *vmcoreinfo.Info, placed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.noted {
		return k.notes, k.placed, nil
	}
	try := func(v *vmcoreinfo.Info) (done bool) {
		if k.placed = wroteNotes(k.mem, v); k.placed || k.notes == nil {
			k.notes = v
		}
		return k.placed
	}
	k.noted = true
	if m, ok := vmem.As[vmcoreinfo.Holder](k.mem); ok {
		if v, err := m.VMCoreInfo(); err == nil && try(v) {
			return k.notes, k.placed, nil
		}
	}
	for found, err := range vmcoreinfo.Find(ctx, k.mem) {
		if err != nil {
			k.noted = false
			return nil, false, err
		}
		if try(found.Info) {
			break
		}
	}
	return k.notes, k.placed, nil
}

// wroteNotes reports whether the kernel that VMCOREINFO is of is in memory: whether its
// release stands in init_uts_ns, which begins with its name.
func wroteNotes(mem vmem.Memory, v *vmcoreinfo.Info) bool {
	uts, err := v.Symbol("init_uts_ns")
	base, err2 := v.Number("phys_base")
	if err != nil || err2 != nil || v.Release() == "" {
		return false
	}
	b := make([]byte, 512)
	n, _ := mem.ReadAt(b, int64(uts-x86.StartKernelMap+uint64(base)))
	return bytes.Contains(b[:n], append([]byte(v.Release()), 0))
}

// Banners returns the banners of Linux kernels that stand in memory, without the newline
// at the end, in the order of memory. That of the kernel is among them, unless its page
// was lost; so may be those of other kernels, from files and logs. All of memory is read
// when this is first asked for. The error is that of ctx.
func (k *Kernel) Banners(ctx context.Context) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.scan(ctx)
	return k.banners, err
}

// COSBuilds returns the builds of Container-Optimized OS, such as 18244.291.9, whose
// /etc/os-release is in memory, in the order of memory. All of memory is read when this
// is first asked for. The error is that of ctx.
func (k *Kernel) COSBuilds(ctx context.Context) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.scan(ctx)
	return k.builds, err
}
