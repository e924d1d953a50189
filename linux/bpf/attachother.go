package bpf

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A psockProgs is struct sk_psock_progs (include/linux/skmsg.h).
type psockProgs struct {
	Message vmem.VirtAddr `kernel:"msg_parser"`
	Parser  vmem.VirtAddr `kernel:"stream_parser|skb_parser"` // renamed in 5.13, as the next
	Stream  vmem.VirtAddr `kernel:"stream_verdict,optional"`
	Verdict vmem.VirtAddr `kernel:"skb_verdict"`
}

type otherViews struct {
	psock     *kstruct.View[psockProgs]
	stab      kstruct.Member // progs of bpf_stab
	shtab     kstruct.Member // of bpf_shtab
	netList   kstruct.Member // of struct net
	netInum   *kstruct.Field[uint32]
	netArrays kstruct.Member // bpf.run_array
	netProgs  kstruct.Member // bpf.progs
	netErr    error

	seccomp *kstruct.Field[vmem.VirtAddr] // of task_struct
	prev    *kstruct.Field[vmem.VirtAddr] // of seccomp_filter
	prog    *kstruct.Field[vmem.VirtAddr]
	classic *kstruct.Field[uint16] // len of sock_fprog_kern
}

func bindOthers(types *isf.File) (v otherViews) {
	v.psock = bound[psockProgs](types, "sk_psock_progs")
	v.stab, v.shtab = boundMember(types, "bpf_stab", "progs"), boundMember(types, "bpf_shtab", "progs")
	b := kstruct.NewBinder(types)
	v.netList = kstruct.BindMember(b, "net", "list")
	v.netInum = kstruct.BindField[uint32](b, "net", "ns.inum")
	v.netArrays, v.netProgs = kstruct.BindMember(b, "net", "bpf.run_array"), kstruct.BindMember(b, "net", "bpf.progs")
	v.netErr = b.Err()
	v.seccomp = boundField[vmem.VirtAddr](types, "task_struct", "seccomp.filter")
	v.prev, v.prog = boundField[vmem.VirtAddr](types, "seccomp_filter", "prev"), boundField[vmem.VirtAddr](types, "seccomp_filter", "prog")
	v.classic = boundField[uint16](types, "sock_fprog_kern", "len")
	return v
}

// readMapPrograms notes the programs that maps have: of sockets, of devices, to call, and for functions of
// structures; and the maps in maps.
func (s *Set) readMapPrograms() {
	for i := 0; i < len(s.maps); i++ { //nolint:intrange // it grows by maps in maps
		if m := s.maps[i]; s.ctx.Err() == nil {
			s.mapPrograms(m)
		}
	}
}

func (s *Set) mapPrograms(m *Map) {
	switch m.Type {
	case SockMap, SockHash:
		s.readSockMap(m)
	case StructOpsMap:
		s.readStructOps(m)
	case ProgArray, DevMap, DevMapHash, CPUMap, ArrayOfMaps, HashOfMaps:
		for e, err := range s.Elements(s.ctx, m) {
			if err != nil {
				s.lose("map "+m.String(), m.Address, err)
				continue
			}
			s.inElement(m, &e)
		}
	}
}

// inElement notes the program or the map of an element.
func (s *Set) inElement(m *Map, e *Element) {
	target := fmt.Sprintf("map %v, key %#x", m, e.Key)
	switch m.Type {
	case ProgArray:
		s.addProgram(e.Object, InMaps)
	case ArrayOfMaps, HashOfMaps:
		s.addMap(e.Object, InMaps)
	case CPUMap:
		s.attach(e.Object, Attachment{Kind: "cpumap", Type: "xdp_cpumap", Target: target, Address: m.Address})
	case DevMap, DevMapHash:
		// The element's object is the device; the program is beside it.
		if id := uint32Of(e.Value, 4); id != 0 {
			for _, p := range s.programs {
				if p.ID == id {
					s.attach(p.Address, Attachment{Kind: "devmap", Type: "xdp_devmap", Target: target, Address: m.Address})
				}
			}
		}
	}
}

// uint32Of returns the number at an offset, 0 where there is none.
func uint32Of(b []byte, at int) uint32 {
	if len(b) < at+4 {
		return 0
	}
	return uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24
}

// readSockMap notes the programs of a map of sockets, which see what these send and receive.
func (s *Set) readSockMap(m *Map) {
	v := &s.views.others
	member := v.stab
	if m.Type == SockHash {
		member = v.shtab
	}
	if !member.Ok() || !v.psock.Ok() {
		s.lose("programs of map "+m.String(), m.Address, unsupported("no struct sk_psock_progs"))
		return
	}
	p, err := v.psock.Load(s.mem, member.Of(m.Address))
	if err != nil {
		s.lose("programs of map "+m.String(), m.Address, err)
		return
	}
	verdict := "sk_skb_verdict"
	if !v.psock.Has("Stream") {
		verdict = "sk_skb_stream_verdict"
	}
	for _, a := range []struct {
		prog vmem.VirtAddr
		typ  string
	}{{p.Message, "sk_msg_verdict"}, {p.Parser, "sk_skb_stream_parser"}, {p.Stream, "sk_skb_stream_verdict"}, {p.Verdict, verdict}} {
		at := Attachment{Kind: "sockmap", Type: a.typ, Target: "map " + m.String(), Address: m.Address}
		for _, l := range s.links {
			if l.Type == SockMapLink && l.object == m.Address && l.raw.Program == a.prog && a.prog != 0 {
				at.Link = l.ID
				s.attachedBy[l.Address] = true
			}
		}
		s.attach(a.prog, at)
	}
}

// maxStructOps is BPF_STRUCT_OPS_MAX_NR_MEMBERS of include/linux/bpf.h, and more.
const maxStructOps = 256

// readStructOps notes the programs that stand for functions of a structure of the kernel.
func (s *Set) readStructOps(m *Map) {
	d := &detailReader{Value: s.objects.Struct("bpf_struct_ops_map", m.Address)}
	types := s.k.Symbols()
	desc, list, linked := "st_ops->", "links", true
	if types.HasField("bpf_struct_ops_map", "st_ops_desc") { // since 6.9 (4c5763ed996a)
		desc = "st_ops_desc->"
	}
	if !types.HasField("bpf_struct_ops_map", list) { // until 5.18
		list, linked = "progs", false
	}
	var n uint64
	if types.HasField("bpf_struct_ops_map", "funcs_cnt") {
		n = d.uint("funcs_cnt")
	} else {
		n = d.uint(desc+"type->info") & 0xffff // BTF_INFO_VLEN
	}
	name := "st_ops->name"
	if desc == "st_ops_desc->" {
		name = "st_ops_desc->st_ops->name"
	}
	m.KernelName = d.text(name)
	at := d.pointer(list)
	if d.err != nil || at == 0 {
		s.lose("map "+m.String(), m.Address, d.err)
		return
	}
	all, err := s.pointers(at, int(min(n, maxStructOps)))
	s.lose("map "+m.String(), at, err)
	for _, p := range all {
		if p == 0 {
			continue
		}
		if linked {
			l, err := s.readLink(p)
			if err != nil {
				s.lose("map "+m.String(), p, err)
				continue
			}
			p = l.raw.Program
		}
		s.attach(p, Attachment{Kind: "struct_ops", Type: m.KernelName, Target: "map " + m.String(), Address: m.Address})
	}
}

// netTypes are enum netns_bpf_attach_type (include/net/netns/bpf.h).
var netTypes = []string{"flow_dissector", "sk_lookup"}

// readNamespaces notes the programs of network namespaces, those of net_namespace_list (exported).
func (s *Set) readNamespaces() {
	v := &s.views.others
	const object = "network namespaces with BPF programs"
	head, err := s.k.Symbol("net_namespace_list")
	if err = firstError(v.netErr, err); err != nil {
		s.lose(object, 0, unsupported("%w", err))
		return
	}
	w := s.walk(object)
	for node, err := range w.List(head) {
		if err != nil {
			s.lose(object, head, err)
			continue
		}
		net := v.netList.Container(node)
		for i, typ := range netTypes {
			array, err := s.ptr(v.netArrays.Of(net) + vmem.VirtAddr(i)*8)
			var own vmem.VirtAddr
			if err == nil {
				own, err = s.ptr(v.netProgs.Of(net) + vmem.VirtAddr(i)*8)
			}
			var inum uint32
			if err == nil && (array != 0 || own != 0) {
				inum, err = v.netInum.Load(s.mem, net)
			}
			if err != nil {
				s.lose(object, net, err)
				continue
			}
			s.attachNet(net, inum, typ, array, own)
		}
	}
}

func (s *Set) attachNet(net vmem.VirtAddr, inum uint32, typ string, array, own vmem.VirtAddr) {
	all := s.progArray(array)
	if own != 0 && !slices.Contains(all, own) {
		all = append(all, own)
	}
	for _, prog := range all {
		a := Attachment{Kind: "netns", Type: typ, Target: fmt.Sprintf("net:[%d]", inum), NetNS: inum, Address: net}
		for _, l := range s.links {
			if l.Type == NetnsLink && l.object == net && l.raw.Program == prog {
				a.Link = l.ID
				s.attachedBy[l.Address] = true
			}
		}
		s.attach(prog, a)
	}
}

// A ClassicFilter is a program of classic BPF, which has no ID and is in no table: bpftool does not show it.
type ClassicFilter struct {
	Kind string `json:"kind"` // seccomp
	// Instructions is how many there are after the kernel translated them, and Original how many there were, 0 where the
	// kernel did not keep them.
	Instructions int           `json:"instructions"`
	Original     int           `json:"original"`
	JITed        bool          `json:"jited"`
	Tag          string        `json:"tag"`  // zeros of most
	PIDs         []int32       `json:"pids"` // whose system calls it sees
	Address      vmem.VirtAddr `json:"address"`
	Entry        vmem.VirtAddr `json:"entry"`
}

// Classic returns the filters of system calls (seccomp), in the order of the processes that have them.
func (s *Set) Classic() []*ClassicFilter { return slices.Clone(s.classic) }

// maxFilters is how many filters of a task are told: MAX_INSNS_PER_PATH of kernel/seccomp.c allows some thousands.
const maxFilters = 4096

// readSeccomp reads the filters of system calls of processes.
func (s *Set) readSeccomp() {
	v := &s.views.others
	if !v.seccomp.Ok() || !v.prev.Ok() || !v.prog.Ok() {
		if len(s.opts.Tasks) > 0 {
			s.lose("seccomp filters", 0, unsupported("no struct seccomp_filter"))
		}
		return
	}
	at := map[vmem.VirtAddr]*ClassicFilter{}
	for _, t := range s.opts.Tasks {
		filter, err := v.seccomp.Load(s.mem, t.Addr)
		for n := 0; err == nil && filter != 0 && n < maxFilters; n++ {
			var prog vmem.VirtAddr
			if !plausible(filter) {
				err = corrupt("seccomp_filter pointer %v", filter)
				break
			}
			if prog, err = v.prog.Load(s.mem, filter); err != nil {
				break
			}
			f := at[prog]
			if f == nil {
				if f, err = s.readClassic(prog); err != nil {
					break
				}
				at[prog] = f
				s.classic = append(s.classic, f)
			}
			f.PIDs = append(f.PIDs, t.TGID)
			filter, err = v.prev.Load(s.mem, filter)
		}
		s.lose("seccomp filters of "+t.String(), filter, err)
	}
}

func (s *Set) readClassic(at vmem.VirtAddr) (*ClassicFilter, error) {
	p, err := s.readProgram(at)
	if err != nil {
		return nil, err
	}
	f := &ClassicFilter{Kind: "seccomp", Instructions: p.Instructions, JITed: p.JITed, Tag: hex.EncodeToString(p.raw.Tag[:]), Address: at, Entry: p.Entry}
	if p.raw.Orig != 0 {
		n, err := s.views.others.classic.Load(s.mem, p.raw.Orig)
		if err != nil {
			return nil, err
		}
		f.Original = int(n)
	}
	return f, nil
}
