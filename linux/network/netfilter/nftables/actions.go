package nftables

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
	"github.com/nodelens/nodelens/vmem"
)

type connlimitPriv struct {
	Limit uint32 `kernel:"limit"`
	Inv   bool   `kernel:"invert"`
}

func onConnlimit(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[connlimitPriv](d.r, private, "nft_connlimit", "nft_connlimit")
	if err != nil {
		return err
	}
	js, over := object{"val": p.Limit}, ""
	if p.Inv {
		js["inv"], over = true, "over "
	}
	d.say(fmt.Sprintf("ct count %s%d", over, p.Limit), object{"ct count": js})
	return nil
}

type flowPriv struct {
	Table vmem.VirtAddr `kernel:"flowtable"`
}

func onFlow(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[flowPriv](d.r, private, "nft_flow_offload", "nft_flow_offload")
	if err != nil {
		return err
	}
	f, err := d.r.v.flow.Load(d.r.src.Mem(), p.Table)
	if err != nil {
		return err
	}
	name, err := d.r.name("flowtable", f.Name)
	if err != nil {
		return err
	}
	d.say("flow add @"+name, object{"flow": object{"op": "add", "flowtable": "@" + name}})
	return nil
}

type devPriv struct {
	Dev uint8 `kernel:"sreg_dev"`
}

// device returns the device whose index is in a register.
func (d *decoder) device(reg uint8) (node, error) {
	e, err := d.get(reg, 4)
	if err != nil {
		return nil, err
	}
	e = d.resolve(e)
	if v, ok := e.(*value); ok {
		return d.r.deviceNode(&value{data: v.data, dt: typeIfindex}), nil
	}
	return e, nil
}

func onFwd(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	if strings.Contains(info.kind, "neigh") {
		p, err := read[fwdNeigh](d.r, private, "nft_fwd_neigh", "nft_fwd_netdev")
		if err != nil {
			return err
		}
		dev, err := d.device(p.Dev)
		if err != nil {
			return err
		}
		family, dt := "ip", typeIP
		if p.Family == 10 {
			family, dt = "ip6", typeIP6
		}
		addr, err := d.typed(p.Addr, dt)
		if err != nil {
			return err
		}
		d.say("fwd "+family+" to "+addr.text()+" device "+dev.text(), object{"fwd": object{"dev": dev.json(), "family": family, "addr": addr.json()}})
		return nil
	}
	p, err := read[devPriv](d.r, private, "nft_fwd_netdev", "nft_fwd_netdev")
	if err != nil {
		return err
	}
	dev, err := d.device(p.Dev)
	if err != nil {
		return err
	}
	d.say("fwd to "+dev.text(), object{"fwd": object{"dev": dev.json()}})
	return nil
}

type fwdNeigh struct {
	Dev    uint8 `kernel:"sreg_dev"`
	Addr   uint8 `kernel:"sreg_addr"`
	Family uint8 `kernel:"nfproto"`
}

type dupPriv struct {
	Addr uint8 `kernel:"sreg_addr"`
	Dev  uint8 `kernel:"sreg_dev"`
}

func onDup(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	if d.table.Family == "netdev" {
		p, err := read[devPriv](d.r, private, "nft_dup_netdev", "nft_dup_netdev")
		if err != nil {
			return err
		}
		dev, err := d.device(p.Dev)
		if err != nil {
			return err
		}
		d.say("dup to "+dev.text(), object{"dup": object{"addr": dev.json()}})
		return nil
	}
	structure, dt := "nft_dup_ipv4", typeIP
	if d.table.Family == "ip6" {
		structure, dt = "nft_dup_ipv6", typeIP6
	}
	p, err := read[dupPriv](d.r, private, structure, structure)
	if err != nil {
		return err
	}
	addr, err := d.typed(p.Addr, dt)
	if err != nil {
		return err
	}
	words, js := "dup to "+addr.text(), object{"addr": addr.json()}
	if p.Dev != 0 {
		dev, err := d.device(p.Dev)
		if err != nil {
			return err
		}
		words += " device " + dev.text()
		js["dev"] = dev.json()
	}
	d.say(words, object{"dup": js})
	return nil
}

func onLast(d *decoder, _ *opsInfo, _ vmem.VirtAddr) error {
	d.say("last used never", object{"last": nil})
	return nil
}

func onSynproxy(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[synproxyPriv](d.r, private, "nft_synproxy", "nft_synproxy")
	if err != nil {
		return err
	}
	words, js, flags := "synproxy", object{}, []string(nil)
	if p.Options&1 != 0 {
		words += fmt.Sprint(" mss ", p.MSS)
		js["mss"] = p.MSS
	}
	if p.Options&2 != 0 {
		words += fmt.Sprint(" wscale ", p.Scale)
		js["wscale"] = p.Scale
	}
	for bit, name := range map[uint8]string{8: "timestamp", 4: "sack-perm"} {
		if p.Options&bit != 0 {
			flags = append(flags, name)
		}
	}
	if len(flags) == 2 {
		flags = []string{"timestamp", "sack-perm"}
	}
	if flags != nil {
		words += " " + strings.Join(flags, " ")
		js["flags"] = flagsJSON(flags)
	}
	d.say(words, object{"synproxy": js})
	return nil
}

type synproxyPriv struct {
	Options uint8  `kernel:"info.options"`
	Scale   uint8  `kernel:"info.wscale"`
	MSS     uint16 `kernel:"info.mss"`
}

// iptables' matches and targets are told by name, as nft has them, and with their options as
// iptables-save has these.
func onMatch(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	name, revision, data, err := d.compat("match", "xt_match", info, private)
	if err != nil {
		return err
	}
	d.extend("match", xtables.FormatMatch(d.family(), name, revision, data, d.r.setName))
	return nil
}

func onTarget(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	name, revision, data, err := d.compat("target", "xt_target", info, private)
	if err != nil {
		return err
	}
	d.extend("target", xtables.FormatTarget(d.family(), name, revision, data))
	return nil
}

// family is that by which iptables knows the layout of addresses.
func (d *decoder) family() string {
	if d.table.Family == "ip6" {
		return "ip6"
	}
	return "ip"
}

func (r *reader) setName(index uint16) string {
	if r.ipsets == nil {
		r.ipsets = xtables.SetNames(r.ctx, r.src.K, r.src.Mods, r.ns)
	}
	return r.ipsets(index)
}

// An extension is a match or a target of iptables.
type extension struct {
	kind string
	ext  xtables.Extension
}

func (e *extension) text() string { return fmt.Sprintf("xt %s %s", e.kind, quote(e.ext.Name)) }
func (e *extension) json() any {
	return object{"xt": object{"type": e.kind, "name": e.ext.Name}}
}

func (d *decoder) extend(kind string, ext xtables.Extension) {
	d.rule.Extensions = append(d.rule.Extensions, ext)
	d.emit(&extension{kind, ext})
}

// compat reads the struct xt_match or xt_target of an expression, and what it is set up with.
func (d *decoder) compat(kind, structure string, info *opsInfo, private vmem.VirtAddr) (name string, revision uint8, data []byte, err error) {
	types, _ := d.r.src.Types(structure, "x_tables", "nft_compat")
	b := kstruct.NewBinder(types)
	nameIn := kstruct.BindMember(b, structure, "name")
	revisionIn := kstruct.BindField[uint8](b, structure, "revision")
	sizeIn := kstruct.BindField[uint32](b, structure, kind+"size")
	if err := b.Err(); err != nil {
		return "", 0, nil, err
	}
	if !nfkit.Plausible(info.data) {
		return "", 0, nil, nfkit.Pointer(structure, info.data)
	}
	mem := d.r.src.Mem()
	if name, err = mem.CString(nameIn.Of(info.data), 32); err != nil {
		return "", 0, nil, err
	}
	if !nfkit.Printable(name) {
		return "", 0, nil, nfkit.Corrupt("%s %q", structure, name)
	}
	if revision, err = revisionIn.Load(mem, info.data); err != nil {
		return "", 0, nil, err
	}
	size, err := sizeIn.Load(mem, info.data)
	if err == nil {
		data, err = d.compatBytes(strings.Contains(info.kind, "large"), private, size, info.size-8)
	}
	return name, revision, data, err
}

// maxCompat bounds what a match or a target of iptables is set up with.
const maxCompat = 4096

// compatBytes returns what a match or a target is set up with: it is part of the expression,
// which has room for so many bytes, or if it is large, what a pointer there leads to (struct
// nft_xt_match_priv of net/netfilter/nft_compat.c).
func (d *decoder) compatBytes(large bool, private vmem.VirtAddr, size, room uint32) ([]byte, error) {
	if !large {
		return d.r.src.Bytes(private, int(min(size, room)))
	}
	at, err := d.r.src.Mem().Uint64(private)
	if err != nil {
		return nil, err
	}
	if !nfkit.Plausible(vmem.VirtAddr(at)) {
		return nil, nfkit.Pointer("xt_match", vmem.VirtAddr(at))
	}
	return d.r.src.Bytes(vmem.VirtAddr(at), int(min(size, maxCompat)))
}

var errRegister = errors.New("register without a value")

// typed returns what is in a register as a value of a type.
func (d *decoder) typed(reg uint8, dt *dataType) (expr, error) {
	e := d.regs[reg]
	if e == nil {
		return nil, errRegister
	}
	e = d.resolve(e)
	if v, ok := e.(*value); ok {
		n := len(v.data)
		if dt.size > 0 {
			n = min(n, dt.size)
		}
		return &value{data: v.data[:n], order: dt.big, dt: dt}, nil
	}
	return e, nil
}
