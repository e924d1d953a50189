package nftables

import (
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

type natPriv struct {
	AddrMin  uint8  `kernel:"sreg_addr_min"`
	AddrMax  uint8  `kernel:"sreg_addr_max"`
	ProtoMin uint8  `kernel:"sreg_proto_min"`
	ProtoMax uint8  `kernel:"sreg_proto_max"`
	Type     uint8  `kernel:"type"`
	Family   uint8  `kernel:"family"`
	Flags    uint16 `kernel:"flags"`
}

// natFlags returns the flags that nft writes: NF_NAT_RANGE_* of include/uapi/linux/netfilter/nf_nat.h.
func natFlags(flags uint32) (names []string) {
	for _, f := range []struct {
		bit  uint32
		name string
	}{{4, "random"}, {16, "fully-random"}, {8, "persistent"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

func onNAT(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[natPriv](d.r, private, "nft_nat", "nft_nat")
	if err != nil {
		return err
	}
	words := [...]string{"snat", "dnat"}[p.Type&1]
	kind, js := words, object{}
	family, dt := "ip", typeIP
	if p.Family == 10 {
		family, dt = "ip6", typeIP6
	}
	if p.Flags&64 != 0 { // NF_NAT_RANGE_NETMAP
		js["type_flags"] = "prefix"
	}
	var addr, port node
	if p.AddrMin != 0 {
		if addr, err = d.natRange(p.AddrMin, p.AddrMax, dt, p.Flags&64 != 0); err != nil {
			return err
		}
	}
	if p.ProtoMin != 0 && !d.partOfMap(p.AddrMin, p.ProtoMin) {
		if port, err = d.natRange(p.ProtoMin, p.ProtoMax, typeService, false); err != nil {
			return err
		}
	}
	joined := addr != nil && d.isJoined(p.AddrMin)
	if d.table.Family == "inet" && (addr != nil) || joined {
		words += " " + family
		js["family"] = family
	}
	if p.Flags&64 != 0 {
		words += " prefix"
	}
	words += " to "
	if addr != nil {
		js["addr"] = addr.json()
		words += addressText(addr, port, dt)
	}
	if port != nil {
		js["port"] = port.json()
		words += ":" + port.text()
	}
	if flags := natFlags(uint32(p.Flags)); flags != nil {
		words += " " + strings.Join(flags, ",")
		js["flags"] = flagsJSON(flags)
	}
	d.say(words, object{kind: js})
	return nil
}

// addressText writes the address to translate to: one of IPv6 in brackets before a port.
func addressText(addr, port node, dt *dataType) string {
	if dt != typeIP6 || port == nil {
		return addr.text()
	}
	if r, ok := addr.(*span); ok {
		return "[" + r.from.text() + "]-[" + r.to.text() + "]"
	}
	return "[" + addr.text() + "]"
}

// isJoined reports whether a register has a map whose values are several joined.
func (d *decoder) isJoined(reg uint8) bool {
	m, ok := d.regs[reg].(*lookupExpr)
	return ok && len(m.datas) > 1
}

// partOfMap reports whether what is in a register is part of the value of a map that is in
// another before it.
func (d *decoder) partOfMap(addr, proto uint8) bool {
	return addr != 0 && addr != proto && d.isJoined(addr)
}

// natRange returns what is in two registers as one value, or as a range.
func (d *decoder) natRange(from, to uint8, dt *dataType, mapped bool) (node, error) {
	a, err := d.typed(from, dt)
	if err != nil {
		return nil, err
	}
	if to == 0 || to == from || d.regs[to] == nil {
		return a, nil
	}
	b, err := d.typed(to, dt)
	if err != nil {
		return nil, err
	}
	if a.text() == b.text() {
		return a, nil
	}
	first, ok := a.(*value)
	last, isValue := b.(*value)
	if mapped && ok && isValue {
		if n, ok := commonPrefix(first.data, last.data); ok {
			return &prefix{first, n}, nil
		}
	}
	return &span{a, b}, nil
}

// commonPrefix returns the length of the prefix that begins and ends at two values.
func commonPrefix(a, b []byte) (int, bool) {
	if len(a) != len(b) {
		return 0, false
	}
	n := 0
	for n < 8*len(a) && bit(a, n) == bit(b, n) {
		n++
	}
	for i := n; i < 8*len(a); i++ {
		if bit(a, i) != 0 || bit(b, i) != 1 {
			return 0, false
		}
	}
	return n, true
}

func bit(b []byte, i int) byte { return b[i/8] >> (7 - i%8) & 1 }

type masqPriv struct {
	Flags    uint32 `kernel:"flags"`
	ProtoMin uint8  `kernel:"sreg_proto_min"`
	ProtoMax uint8  `kernel:"sreg_proto_max"`
}

func onMasq(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[masqPriv](d.r, private, "nft_masq", "nft_masq")
	if err != nil {
		return err
	}
	return d.portNAT("masquerade", p)
}

func onRedir(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[masqPriv](d.r, private, "nft_redir", "nft_redir")
	if err != nil {
		return err
	}
	return d.portNAT("redirect", p)
}

// portNAT emits a translation to an address that is not configured.
func (d *decoder) portNAT(kind string, p masqPriv) error {
	words, js := kind, object{}
	if p.ProtoMin != 0 {
		port, err := d.natRange(p.ProtoMin, p.ProtoMax, typeService, false)
		if err != nil {
			return err
		}
		words += " to :" + port.text()
		js["port"] = port.json()
	}
	if flags := natFlags(p.Flags); flags != nil {
		words += " " + strings.Join(flags, ",")
		js["flags"] = flagsJSON(flags)
	}
	var out any
	if len(js) > 0 {
		out = js
	}
	d.say(words, object{kind: out})
	return nil
}

type tproxyPriv struct {
	Addr   uint8 `kernel:"sreg_addr"`
	Port   uint8 `kernel:"sreg_port"`
	Family uint8 `kernel:"family"`
}

func onTproxy(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[tproxyPriv](d.r, private, "nft_tproxy", "nft_tproxy")
	if err != nil {
		return err
	}
	words, js := "tproxy", object{}
	family, dt := map[uint8]string{2: "ip", 10: "ip6"}[p.Family], typeIP
	if p.Family == 10 {
		dt = typeIP6
	}
	if d.table.Family == "inet" && family != "" {
		words += " " + family
		js["family"] = family
	}
	words += " to "
	var port node
	if p.Port != 0 {
		if port, err = d.typed(p.Port, typeService); err != nil {
			return err
		}
	}
	if p.Addr != 0 {
		addr, err := d.typed(p.Addr, dt)
		if err != nil {
			return err
		}
		words += addressText(addr, port, dt)
		js["addr"] = addr.json()
	}
	if port != nil {
		words += ":" + port.text()
		js["port"] = port.json()
	}
	d.say(words, object{"tproxy": js})
	return nil
}
