package bpf

import (
	"cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// detailViews say how the types of this kernel differ from others.
type detailViews struct {
	nested  bool // bpf_tracing_link has a bpf_tramp_link, since 5.19 (f7e0beaf39d3)
	flagBit uint // of TRACE_EVENT_FL_TRACEPOINT
	probe   uint // of TRACE_EVENT_FL_KPROBE, before that of uprobes
}

func bindDetails(types *isf.File) (v detailViews) {
	v.nested = types.HasField("bpf_tracing_link", "link.link")
	// The flags of events are an enumeration without a name, whose bits follow what members there are
	// for them (include/linux/trace_events.h).
	v.flagBit = 3
	if types.HasField("trace_event_call", "filter") { // until 6.7
		v.flagBit++
	}
	v.probe = v.flagBit + 1
	if types.HasField("trace_event_call", "refcnt") { // TRACE_EVENT_FL_DYNAMIC, since 5.15
		v.probe++
	}
	return v
}

// surrounding returns what a link is a part of.
func (s *Set) surrounding(l *Link, typ string) kstruct.Value {
	member := "link"
	if typ == "bpf_tracing_link" && s.views.links.nested {
		member = "link.link"
	}
	return s.objects.Struct("bpf_link", l.Address).ContainerOf(typ, member)
}

// A detailReader reads members of what a link is a part of. The first error stays.
type detailReader struct {
	kstruct.Value
	err error
}

func (d *detailReader) uint(path string) uint64 {
	n, err := d.At(path).Uint()
	d.err = cmp.Or(d.err, err)
	return n
}

func (d *detailReader) int(path string) int64 {
	n, err := d.At(path).Int()
	d.err = cmp.Or(d.err, err)
	return n
}

func (d *detailReader) pointer(path string) vmem.VirtAddr {
	p, err := d.At(path).Pointer()
	d.err = cmp.Or(d.err, err)
	return p
}

func (d *detailReader) text(path string) string {
	t, err := d.At(path).CString()
	d.err = cmp.Or(d.err, err)
	return t
}

// readDetails reads what a link attaches its program to.
func (s *Set) readDetails(l *Link) {
	if s.k.Symbols().HasField("bpf_link", "attach_type") {
		l.AttachType = AttachType(l.raw.Attach).String()
	}
	readers := map[LinkType]struct {
		typ  string
		read func(*Link, *detailReader)
	}{
		RawTracepointLink: {"bpf_raw_tp_link", s.readRawTracepoint},
		TracingLink:       {"bpf_tracing_link", s.readTracing},
		CgroupLink:        {"bpf_cgroup_link", s.readCgroupLink},
		IterLink:          {"bpf_iter_link", s.readIter},
		NetnsLink:         {"bpf_netns_link", s.readNetns},
		XDPLink:           {"bpf_xdp_link", s.readDevice},
		PerfEventLink:     {"bpf_perf_link", s.readPerf},
		KprobeMultiLink:   {"bpf_kprobe_multi_link", s.readKprobes},
		UprobeMultiLink:   {"bpf_uprobe_multi_link", s.readUprobes},
		StructOpsLink:     {"bpf_struct_ops_link", s.readLinkMap},
		NetfilterLink:     {"bpf_nf_link", s.readNetfilter},
		TCXLink:           {"tcx_link", s.readDevice},
		NetkitLink:        {"netkit_link", s.readDevice},
		SockMapLink:       {"sockmap_link", s.readLinkMap},
	}
	r, ok := readers[l.Type]
	if !ok || l.Type == StructOpsLink && l.raw.Program != 0 { // one of those that a map has for its programs
		return
	}
	d := &detailReader{Value: s.surrounding(l, r.typ)}
	if d.err = d.Err(); d.err == nil {
		r.read(l, d)
	}
	if d.err != nil {
		s.lose("link "+formatID(l.ID), l.Address, d.err)
	}
}

// attachType reads the attach type where it is not in bpf_link.
func (s *Set) attachType(l *Link, d *detailReader, member string) {
	if l.AttachType == "" {
		l.AttachType = AttachType(d.uint(member)).String()
	}
}

func (s *Set) readRawTracepoint(l *Link, d *detailReader) {
	l.Target, l.object = d.text("btp->tp->name"), d.pointer("btp->tp")
	if s.k.Symbols().HasField("bpf_raw_tp_link", "cookie") { // since 6.10
		l.Cookie = d.uint("cookie")
	}
}

func (s *Set) readTracing(l *Link, d *detailReader) {
	s.attachType(l, d, "attach_type")
	l.object = d.pointer("trampoline")
	key := d.uint("trampoline->key")
	if s.views.links.nested {
		l.TargetBTF, l.TargetType = uint32(key>>32), uint32(key)&0x7fffffff
		if s.k.Symbols().HasField("bpf_tramp_link", "node") {
			l.Cookie = d.uint("link.node.cookie")
		} else {
			l.Cookie = d.uint("link.cookie")
		}
	} else { // bpf_trampoline_compute_key of 5.10, where the link does not tell it
		l.TargetBTF, l.TargetType = uint32(key>>32), uint32(key)
	}
	l.Target = s.function(d.pointer("trampoline->func.addr"))
}

func (s *Set) readCgroupLink(l *Link, d *detailReader) {
	member := "type"
	if l.AttachType != "" {
		member = "link.attach_type"
	}
	l.AttachType = AttachType(d.uint(member)).String()
	if l.object = d.pointer("cgroup"); l.object == 0 { // it was removed
		return
	}
	l.CgroupID = d.uint("cgroup->kn->id")
	c, err := s.k.Cgroup(l.object)
	l.Path = c.Path
	d.err = cmp.Or(d.err, err)
}

func (s *Set) readIter(l *Link, d *detailReader) {
	l.Target, l.AttachType = d.text("tinfo->reg_info->target"), "trace_iter"
	types := s.k.Symbols()
	switch l.Target {
	case "bpf_map_elem", "bpf_sk_storage_map", "sockmap":
		if at := d.pointer("aux.map"); at != 0 {
			if m := s.addMap(at, InLinks); m != nil {
				l.Map = m.ID
			}
		}
	case "cgroup":
		if d.pointer("aux.cgroup.start") != 0 {
			l.CgroupID = d.uint("aux.cgroup.start->kn->id")
		}
	case "task", "task_file", "task_vma":
		if types.HasField("bpf_iter_aux_info", "task.pid") { // since 6.1
			l.PID = int32(d.uint("aux.task.pid"))
		}
	}
}

func (s *Set) readNetns(l *Link, d *detailReader) {
	s.attachType(l, d, "type")
	if l.object = d.pointer("net"); l.object != 0 { // its namespace is there
		l.NetNS = uint32(d.uint("net->ns.inum"))
	}
}

// readDevice reads links of XDP, tcx and netkit.
func (s *Set) readDevice(l *Link, d *detailReader) {
	if l.Type != XDPLink {
		s.attachType(l, d, "location")
	}
	if l.object = d.pointer("dev"); l.object == 0 { // it is gone
		return
	}
	l.Index, l.Target = uint32(d.int("dev->ifindex")), d.text("dev->name")
	l.NetNS = uint32(d.uint("dev->nd_net.net->ns.inum"))
}

func (s *Set) readLinkMap(l *Link, d *detailReader) {
	if l.Type == SockMapLink {
		s.attachType(l, d, "attach_type")
	}
	if l.object = d.pointer("map"); l.object == 0 {
		return
	}
	if m := s.addMap(l.object, InLinks); m != nil {
		l.Map, l.Target = m.ID, m.Name
	}
}

func (s *Set) readNetfilter(l *Link, d *detailReader) {
	l.Family, l.Hook, l.Priority = uint8(d.uint("hook_ops.pf")), uint32(d.uint("hook_ops.hooknum")), int32(d.int("hook_ops.priority"))
	l.Defrag = d.pointer("defrag_hook") != 0
	if l.object = d.pointer("net"); l.object != 0 {
		l.NetNS = uint32(d.uint("net->ns.inum"))
	}
}

// maxTargets is how many functions a link has at most: MAX_KPROBE_MULTI_CNT of kernel/trace/bpf_trace.c.
const maxTargets = 1 << 20

// targets reads an array of as many entries as a link has.
func (s *Set) targets(d *detailReader, member, typ string, read func(d *detailReader) LinkTarget) (all []LinkTarget) {
	n, base := d.uint("cnt"), d.pointer(member)
	if n > maxTargets {
		d.err = cmp.Or(d.err, corrupt("%d functions", n))
	}
	size := uint64(8)
	if typ != "" {
		t, err := s.k.Symbols().UserType(typ)
		if err != nil {
			d.err = cmp.Or(d.err, err)
			return nil
		}
		size = t.Size
	}
	for i := uint64(0); i < n && d.err == nil; i++ {
		e := &detailReader{Value: s.objects.Struct(cmp.Or(typ, "list_head"), base+vmem.VirtAddr(i*size))}
		t := read(e)
		if d.err = e.err; d.err == nil {
			all = append(all, t)
		}
	}
	return all
}

func (s *Set) readKprobes(l *Link, d *detailReader) {
	cookies := d.pointer("cookies")
	i := vmem.VirtAddr(0)
	l.Functions = s.targets(d, "addrs", "", func(e *detailReader) (t LinkTarget) {
		t.Address, e.err = s.ptr(e.Addr())
		t.Name = s.function(t.Address)
		if cookies != 0 && e.err == nil {
			t.Cookie, e.err = s.mem.Uint64(cookies + i*8)
		}
		i++
		return t
	})
	exit, err := d.At("fp.exit_handler").Pointer() // BPF_F_KPROBE_MULTI_RETURN has the program run there alone
	entry, err2 := d.At("fp.entry_handler").Pointer()
	l.Return = err == nil && err2 == nil && exit != 0 && entry == 0
}

func (s *Set) readUprobes(l *Link, d *detailReader) {
	l.Functions = s.targets(d, "uprobes", "bpf_uprobe", func(e *detailReader) LinkTarget {
		return LinkTarget{Offset: uint64(e.int("offset")), Cookie: e.uint("cookie")}
	})
	if d.pointer("task") != 0 {
		l.PID = int32(d.int("task->pid"))
	}
	var err error
	l.Target, err = s.k.Path(d.pointer("path.mnt"), d.pointer("path.dentry"))
	d.err = cmp.Or(d.err, err)
}
