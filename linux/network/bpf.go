package network

import (
	"encoding/hex"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Program is an eBPF program that is attached to something of the network.
type Program struct {
	ID       uint32        `json:"id"`
	Name     string        `json:"name"`          // cut to 15 bytes
	Tag      string        `json:"tag"`           // hash of its instructions, as bpftool shows it
	Length   uint32        `json:"length"`        // in instructions
	LoadTime uint64        `json:"loadTime"`      // in nanoseconds since boot
	UID      uint32        `json:"uid"`           // who loaded it
	BTF      uint32        `json:"btf,omitempty"` // the number of its types; 0 for none
	Addr     vmem.VirtAddr `json:"kernelAddress"` // of struct bpf_prog
}

// A bpfProg is struct bpf_prog (include/linux/filter.h, bpf.h).
type bpfProg struct {
	Length uint32        `kernel:"len"`
	Tag    [8]byte       `kernel:"tag"`
	Aux    vmem.VirtAddr `kernel:"aux"`
}

// A bpfAux is struct bpf_prog_aux.
type bpfAux struct {
	Prog     vmem.VirtAddr `kernel:"prog"`
	ID       uint32        `kernel:"id"`
	Name     [16]byte      `kernel:"name"` // BPF_OBJ_NAME_LEN
	LoadTime uint64        `kernel:"load_time"`
	User     vmem.VirtAddr `kernel:"user,optional"` // struct user_struct
	BTF      vmem.VirtAddr `kernel:"btf,optional"`
}

// An XDPProgram sees each packet of a device before the kernel does.
type XDPProgram struct {
	Mode string   `json:"mode"`           // skb for the kernel's own code, drv in the driver, hw in the device
	Link uint32   `json:"link,omitempty"` // the number of the link that holds it
	Prog *Program `json:"prog"`
}

// A TCXProgram sees packets of a device on their way in or out, since 6.6, or those that an end of a netkit pair sends, since 6.7.
type TCXProgram struct {
	Direction string   `json:"direction"` // ingress or egress; of netkit the end: primary or peer
	Link      uint32   `json:"link,omitempty"`
	Prog      *Program `json:"prog"`
}

// xdpModes are those of enum bpf_xdp_mode (include/linux/netdevice.h).
var xdpModes = [...]string{"skb", "drv", "hw"}

// A bpfDevice is what struct net_device has of programs.
type bpfDevice struct {
	XDP     [len(xdpModes)]xdpEntity `kernel:"xdp_state,optional"`   // since 5.9
	Ingress vmem.VirtAddr            `kernel:"tcx_ingress,optional"` // since 6.6 (e420bed02507)
	Egress  vmem.VirtAddr            `kernel:"tcx_egress,optional"`
	// Before 6.6, of clsact alone.
	MiniIngress vmem.VirtAddr `kernel:"miniq_ingress,optional"`
	MiniEgress  vmem.VirtAddr `kernel:"miniq_egress,optional"`
}

// A xdpEntity is struct bpf_xdp_entity: a program, or a link with one.
type xdpEntity struct {
	Prog vmem.VirtAddr `kernel:"prog"`
	Link vmem.VirtAddr `kernel:"link"`
}

// A bpfLink is struct bpf_link (include/linux/bpf.h).
type bpfLink struct {
	ID   uint32        `kernel:"id"`
	Prog vmem.VirtAddr `kernel:"prog"`
}

// A tcxEntry is struct tcx_entry (include/net/tcx.h), with the struct bpf_mprog_bundle in it,
// of which one of two entries is active.
type tcxEntry struct {
	MiniQ vmem.VirtAddr `kernel:"miniq"`
	A     vmem.VirtAddr `kernel:"&bundle.a"`
	B     vmem.VirtAddr `kernel:"&bundle.b"`
	Links vmem.VirtAddr `kernel:"&bundle.cp_items"`
}

// maxTCX is BPF_MPROG_MAX of include/linux/bpf_mprog.h.
const maxTCX = 64

type bpfViews struct {
	device *kstruct.View[bpfDevice]
	prog   *kstruct.View[bpfProg]
	aux    *kstruct.View[bpfAux]
	err    error

	uid    *kstruct.Field[uint32] // of user_struct
	btfID  *kstruct.Field[uint32] // of struct btf
	link   *kstruct.View[bpfLink]
	xdp    kstruct.Member // the link of bpf_xdp_link
	entry  *kstruct.View[tcxEntry]
	parent *kstruct.Field[vmem.VirtAddr] // of bpf_mprog_entry: the bundle
	bundle kstruct.Member                // of tcx_entry
	items  kstruct.Member                // of bpf_mprog_entry
}

func bindBPF(types *isf.File) (v bpfViews) {
	b := kstruct.NewBinder(types)
	v.device = kstruct.Bind[bpfDevice](b, "net_device")
	v.prog = kstruct.Bind[bpfProg](b, "bpf_prog")
	v.aux = kstruct.Bind[bpfAux](b, "bpf_prog_aux")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.uid = kstruct.BindOptionalField[uint32](b, "user_struct", "uid.val")
	v.btfID = kstruct.BindOptionalField[uint32](b, "btf", "id")
	v.link = kstruct.BindOptional[bpfLink](b, "bpf_link")
	v.xdp = kstruct.BindOptionalMember(b, "bpf_xdp_link", "link")
	v.entry = kstruct.BindOptional[tcxEntry](b, "tcx_entry")
	v.parent = kstruct.BindOptionalField[vmem.VirtAddr](b, "bpf_mprog_entry", "parent")
	v.bundle = kstruct.BindOptionalMember(b, "tcx_entry", "bundle")
	v.items = kstruct.BindOptionalMember(b, "bpf_mprog_entry", "fp_items")
	return v
}

// readPrograms reads the programs that are attached to the devices of a namespace, but for
// those of filters.
func (r *reader) readPrograms(c *Configuration) {
	for _, dev := range c.Devices {
		d := r.devices[dev.Addr]
		s, err := r.views.bpf.device.Load(r.space, d.Addr)
		if err != nil {
			r.lose("programs of "+d.text(), d.Addr, err)
			continue
		}
		for mode, e := range s.XDP {
			if p := r.xdpProgram(d, e); p != nil {
				p.Mode = xdpModes[mode]
				d.XDP = append(d.XDP, *p)
			}
		}
		d.mini[0], d.mini[1] = s.MiniIngress, s.MiniEgress
		d.mini[0] |= r.readTCX(d, "ingress", s.Ingress)
		d.mini[1] |= r.readTCX(d, "egress", s.Egress)
	}
}

func (r *reader) xdpProgram(d *device, e xdpEntity) *XDPProgram {
	p := new(XDPProgram)
	prog := e.Prog
	if e.Link != 0 {
		v := &r.views.bpf
		if !v.link.Ok() || !v.xdp.Ok() {
			r.lose("XDP link of "+d.text(), e.Link, fmt.Errorf("%w: no types of XDP links", kstruct.ErrUnsupported))
			return nil
		}
		l, err := v.link.Load(r.space, v.xdp.Of(e.Link))
		if err != nil {
			r.lose("XDP link of "+d.text(), e.Link, err)
			return nil
		}
		p.Link, prog = l.ID, l.Prog
	}
	if prog == 0 {
		return nil
	}
	p.Prog = r.program("XDP program of "+d.text(), prog)
	return p
}

// program reads the bpf_prog at addr. What could not be read of it is told.
func (r *reader) program(what string, addr vmem.VirtAddr) *Program {
	v := &r.views.bpf
	p := &Program{Addr: addr}
	err := errPointer("bpf_prog", addr)
	var s bpfProg
	if plausible(addr) {
		s, err = v.prog.Load(r.space, addr)
	}
	if err != nil {
		r.lose(what, addr, err)
		return p
	}
	p.Length, p.Tag = s.Length, hex.EncodeToString(s.Tag[:])
	a, err := v.aux.Load(r.space, s.Aux)
	if err == nil && a.Prog != addr {
		err = corrupt("bpf_prog_aux %v of another program, %v", s.Aux, a.Prog)
	}
	if err != nil {
		r.lose(what, s.Aux, err)
		return p
	}
	p.ID, p.Name, p.LoadTime = a.ID, text(a.Name[:]), a.LoadTime
	for _, of := range []struct {
		at    vmem.VirtAddr
		field *kstruct.Field[uint32]
		to    *uint32
	}{{a.User, v.uid, &p.UID}, {a.BTF, v.btfID, &p.BTF}} {
		if of.at == 0 || !of.field.Ok() {
			continue
		}
		if *of.to, err = of.field.Load(r.space, of.at); err != nil {
			r.lose(what, of.at, err)
		}
	}
	return p
}

// readTCX reads the programs of one direction (struct bpf_mprog_entry), and returns the
// mini_Qdisc of clsact that is kept beside them.
func (r *reader) readTCX(d *device, direction string, active vmem.VirtAddr) (mini vmem.VirtAddr) {
	v := &r.views.bpf
	if active == 0 {
		return 0
	}
	what := fmt.Sprintf("tcx %s of %s", direction, d.text())
	if !v.entry.Ok() || !v.parent.Ok() || !v.bundle.Ok() || !v.items.Ok() {
		r.lose(what, active, fmt.Errorf("%w: no types of tcx", kstruct.ErrUnsupported))
		return 0
	}
	bundle, err := v.parent.Load(r.space, active)
	var e tcxEntry
	if err == nil {
		e, err = v.entry.Load(r.space, v.bundle.Container(bundle))
	}
	if err == nil && active != e.A && active != e.B {
		err = corrupt("bpf_mprog_entry %v of the bundle %v", active, bundle)
	}
	if err != nil {
		r.lose(what, active, err)
		return 0
	}
	d.TCX = append(d.TCX, r.mprog(what, direction, active, e.Links)...)
	return e.MiniQ
}

// mprog reads the programs of a struct bpf_mprog_entry, which are side by side, and the links that they are attached by.
func (r *reader) mprog(what, direction string, active, links vmem.VirtAddr) (all []TCXProgram) {
	v := &r.views.bpf
	for i := range vmem.VirtAddr(maxTCX) {
		prog, err := r.space.Uint64(v.items.Of(active) + i*8)
		if err != nil {
			r.lose(what, active, err)
			return all
		}
		if prog == 0 {
			break
		}
		p := TCXProgram{Direction: direction, Prog: r.program(what, vmem.VirtAddr(prog))}
		link, err := r.space.Uint64(links + i*8)
		if err == nil && link != 0 && v.link.Ok() {
			var l bpfLink
			if l, err = v.link.Load(r.space, vmem.VirtAddr(link)); err == nil {
				p.Link = l.ID
			}
		}
		if err != nil {
			r.lose(what, links, err)
		}
		all = append(all, p)
	}
	return all
}

// A netkitDev is struct netkit of drivers/net/netkit.c, since 6.7.
type netkitDev struct {
	Active  vmem.VirtAddr `kernel:"active"`
	A       vmem.VirtAddr `kernel:"&bundle.a"`
	B       vmem.VirtAddr `kernel:"&bundle.b"`
	Links   vmem.VirtAddr `kernel:"&bundle.cp_items"`
	Mode    uint32        `kernel:"mode"`
	Primary bool          `kernel:"primary"`
}

// netkitModes are enum netkit_mode of include/uapi/linux/if_link.h.
var netkitModes = map[uint32]string{0: "l2", 1: "l3"}

// readNetkit reads the mode of a netkit device, and the programs that see what it sends.
func (r *reader) readNetkit(d *device) {
	s, ok := private[netkitDev](r, d, "netkit", "netkit")
	if !ok {
		return
	}
	d.info().Mode = nameOf(netkitModes, s.Mode)
	if s.Active == 0 {
		return
	}
	what := "netkit programs of " + d.text()
	switch {
	case !r.views.bpf.items.Ok():
		r.lose(what, s.Active, fmt.Errorf("%w: no types of programs in a row", kstruct.ErrUnsupported))
	case s.Active != s.A && s.Active != s.B:
		r.lose(what, s.Active, corrupt("bpf_mprog_entry %v of another device", s.Active))
	default:
		end := map[bool]string{true: "primary", false: "peer"}[s.Primary]
		d.Netkit = r.mprog(what, end, s.Active, s.Links)
	}
}
