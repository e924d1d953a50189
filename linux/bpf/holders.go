package bpf

import (
	"cmp"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A heldFile is what is read of struct file.
type heldFile struct {
	Ops     vmem.VirtAddr `kernel:"f_op"`
	Dentry  vmem.VirtAddr `kernel:"f_path.dentry"`
	Private vmem.VirtAddr `kernel:"private_data"`
}

// A fileDentry is what is read of struct dentry.
type fileDentry struct {
	Name  vmem.VirtAddr `kernel:"d_name.name"`
	Super vmem.VirtAddr `kernel:"d_sb"`
}

type holderViews struct {
	file   *kstruct.View[heldFile]
	dentry *kstruct.View[fileDentry]
	magic  *kstruct.Field[uint64]        // of super_block
	files  *kstruct.Field[vmem.VirtAddr] // of task_struct
	err    error
}

func bindHolders(types *isf.File) (v holderViews) {
	b := kstruct.NewBinder(types)
	v.file, v.dentry = kstruct.Bind[heldFile](b, "file"), kstruct.Bind[fileDentry](b, "dentry")
	v.magic = kstruct.BindField[uint64](b, "super_block", "s_magic")
	v.files = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "files")
	v.err = b.Err()
	return v
}

// readHolders finds what processes have open.
func (s *Set) readHolders() {
	if len(s.opts.Tasks) == 0 {
		return
	}
	if s.views.holders.err != nil {
		s.lose("holders of BPF", 0, s.views.holders.err)
		return
	}
	for _, t := range s.opts.Tasks {
		if s.ctx.Err() != nil {
			return
		}
		if t.KernelThread {
			continue
		}
		s.descriptorsOf(t, 0)
		own, err := s.views.holders.files.Load(s.mem, t.Addr)
		if err != nil {
			continue // which the descriptors told
		}
		seen := map[vmem.VirtAddr]bool{own: true, 0: true}
		for thread, err := range t.Threads(s.ctx) {
			if err != nil { // who reads the threads tells it
				continue
			}
			if files, err := s.views.holders.files.Load(s.mem, thread.Addr); err == nil && !seen[files] {
				seen[files] = true
				s.descriptorsOf(thread, thread.PID)
			}
		}
	}
}

func (s *Set) descriptorsOf(t *linux.Task, tid int32) {
	for fd, err := range t.Descriptors(s.ctx) {
		if err == nil { // who reads the descriptors tells it
			s.descriptor(t, tid, fd)
		}
	}
}

// magicAnonymous is ANON_INODE_FS_MAGIC of include/uapi/linux/magic.h.
const magicAnonymous = 0x09041934

// kindOf returns the name of the file system of anonymous inodes for a file, such as bpf-prog, empty for one
// that is elsewhere. All files with the same operations are of a kind, so that one is asked for all.
func (s *Set) kindOf(f *heldFile) string {
	kind, ok := s.fileKinds[f.Ops]
	if ok {
		return kind
	}
	v := &s.views.holders
	d, err := v.dentry.Load(s.mem, f.Dentry)
	var magic uint64
	if err == nil {
		magic, err = v.magic.Load(s.mem, d.Super)
	}
	if err == nil && magic == magicAnonymous {
		kind, err = s.mem.CString(d.Name, 32)
	}
	if err != nil {
		return "" // the next one may tell it
	}
	s.fileKinds[f.Ops] = kind
	return kind
}

func (s *Set) descriptor(t *linux.Task, tid int32, fd linux.FD) {
	f, err := s.views.holders.file.Load(s.mem, fd.Addr)
	if err != nil {
		s.lose("descriptor of "+t.String(), fd.Addr, err)
		return
	}
	o := Owner{PID: t.TGID, FD: fd.FD, TID: tid}
	switch s.kindOf(&f) {
	case "bpf-prog":
		if p := s.addProgram(f.Private, InDescriptors); p != nil {
			p.Owners = append(p.Owners, o)
		}
	case "bpf-map":
		if m := s.addMap(f.Private, InDescriptors); m != nil {
			m.Owners = append(m.Owners, o)
		}
	case "bpf_link", "bpf-link": // by which function it was made
		if l := s.addLink(f.Private, InDescriptors); l != nil {
			l.Owners = append(l.Owners, o)
		}
	case "btf":
		if b := s.addBTF(f.Private, InDescriptors); b != nil {
			b.Owners = append(b.Owners, o)
		}
	case "[perf_event]":
		s.perfEvents[f.Private] = append(s.perfEvents[f.Private], o)
	}
}

// readPerfEvents finds programs of perf events that processes have open, also without a link. Those of a link
// are told by that.
func (s *Set) readPerfEvents() {
	for _, at := range sortedKeys(s.perfEvents) {
		event := s.objects.Struct("perf_event", at)
		prog, err := event.At("prog").Pointer()
		if err != nil {
			s.lose("perf event", at, err)
			continue
		}
		if prog == 0 {
			continue
		}
		p := s.addProgram(prog, InAttachments)
		if p == nil || s.perfLinks[at] != 0 {
			continue
		}
		var l LinkDetails
		if err := s.readPerfEvent(event, &l, prog); err != nil {
			s.lose("perf event", at, err)
		}
		p.Attachments = append(p.Attachments, Attachment{Kind: "perf_event", Type: l.Event, Target: l.Target, Address: at, Owners: s.perfEvents[at]})
	}
}

// sortedKeys returns the keys of a map by address.
func sortedKeys[T any](m map[vmem.VirtAddr]T) []vmem.VirtAddr {
	keys := make([]vmem.VirtAddr, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sortOwners puts holders in order.
func sortOwners(all []Owner) {
	slices.SortFunc(all, func(a, b Owner) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.TID, b.TID), cmp.Compare(a.FD, b.FD))
	})
}
