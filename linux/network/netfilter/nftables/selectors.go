package nftables

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A handler decodes the expressions of one type.
type handler func(d *decoder, info *opsInfo, private vmem.VirtAddr) error

var handlers map[string]handler

func init() {
	handlers = map[string]handler{
		"payload": onPayload, "meta": onMeta, "ct": onCT, "cmp": onCmp, "bitwise": onBitwise, "byteorder": onByteorder, "lookup": onLookup,
		"immediate": onImmediate, "counter": onCounter, "limit": onLimit, "log": onLog, "reject": onReject, "quota": onQuota, "objref": onObjref,
		"nat": onNAT, "masq": onMasq, "redir": onRedir, "queue": onQueue, "dynset": onDynset, "fib": onFIB, "numgen": onNumgen, "hash": onHash,
		"range": onRange, "notrack": onNotrack, "tproxy": onTproxy, "socket": onSocket, "rt": onRT, "exthdr": onExthdr, "connlimit": onConnlimit,
		"flow_offload": onFlow, "fwd": onFwd, "dup": onDup, "last": onLast, "match": onMatch, "target": onTarget, "synproxy": onSynproxy,
	}
}

// A keyInfo is a key of meta or ct.
type keyInfo struct {
	name  string
	dt    *dataType
	bytes int
	bare  bool // nft writes it without meta
}

// metaKeys are the keys of meta by their number (enum nft_meta_keys).
var metaKeys = []keyInfo{
	{"length", typeInteger, 4, false}, {"protocol", typeEtherTyp, 2, false}, {"priority", typeClassID, 4, false}, {"mark", typeMark, 4, false},
	{"iif", typeIfindex, 4, true}, {"oif", typeIfindex, 4, true}, {"iifname", typeIfname, 16, true}, {"oifname", typeIfname, 16, true},
	{"iiftype", typeARPHRD, 2, false}, {"oiftype", typeARPHRD, 2, false}, {"skuid", typeUID, 4, false}, {"skgid", typeGID, 4, false},
	{"nftrace", typeSwitch, 1, false}, {"rtclassid", typeRealm, 4, false}, {"secmark", typeInteger, 4, false}, {"nfproto", typeFamily, 1, false},
	{"l4proto", typeProto, 1, false}, {"ibrname", typeIfname, 16, false}, {"obrname", typeIfname, 16, false}, {"pkttype", typePkt, 1, false},
	{"cpu", typeInteger, 4, false}, {"iifgroup", typeDevgroup, 4, true}, {"oifgroup", typeDevgroup, 4, true}, {"cgroup", typeInteger, 4, false},
	{"random", typeNetwork, 4, false}, {"ipsec", typeBool, 1, false}, {"iifkind", typeIfname, 16, false}, {"oifkind", typeIfname, 16, false},
	{"ibrpvid", typeInteger, 2, false}, {"ibrvproto", typeEtherTyp, 2, false}, {"time", typeDate, 8, false}, {"day", typeDay, 1, false},
	{"hour", typeHour, 4, false}, {"sdif", typeIfindex, 4, false}, {"sdifname", typeIfname, 16, false}, {"broute", typeSwitch, 1, false},
	{"iiftype", typeARPHRD, 2, false}, {"ibrhwaddr", typeEther, 6, false},
}

// ctKeys are the keys of ct by their number (enum nft_ct_keys).
var ctKeys = []keyInfo{
	{"state", typeCTState, 4, false}, {"direction", typeCTDir, 1, false}, {"status", typeCTStatus, 4, false}, {"mark", typeMark, 4, false},
	{"secmark", typeInteger, 4, false}, {"expiration", typeTime, 4, false}, {"helper", typeString, 16, false}, {"l3proto", typeFamily, 1, false},
	{"saddr", typeIP, 4, false}, {"daddr", typeIP, 4, false}, {"protocol", typeProto, 1, false}, {"proto-src", typeService, 2, false},
	{"proto-dst", typeService, 2, false}, {"label", typeLabel, 16, false}, {"packets", typeInteger, 8, false}, {"bytes", typeInteger, 8, false},
	{"avgpkt", typeInteger, 8, false}, {"zone", typeInteger, 2, false}, {"event", typeCTEvent, 4, false}, {"ip saddr", typeIP, 4, false},
	{"ip daddr", typeIP, 4, false}, {"ip6 saddr", typeIP6, 16, false}, {"ip6 daddr", typeIP6, 16, false}, {"id", typeNetwork, 4, false},
}

// socketKeys and rtKeys are those of socket and rt (enum nft_socket_keys, nft_rt_keys).
var (
	socketKeys = []keyInfo{{"transparent", typeSwitch, 1, false}, {"mark", typeMark, 4, false}, {"wildcard", typeSwitch, 1, false}, {"cgroupv2", typeCgroup2, 8, false}}
	rtKeys     = []keyInfo{{"classid", typeRealm, 4, false}, {"nexthop", typeIP, 4, false}, {"nexthop", typeIP6, 16, false}, {"mtu", typeInteger, 2, false}, {"ipsec", typeBool, 1, false}}
)

type payloadPriv struct {
	Base   uint8  `kernel:"base"`
	Offset uint16 `kernel:"offset"`
	Len    uint8  `kernel:"len"`
	Reg    uint8  `kernel:"dreg|sreg"`
}

func onPayload(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	structure := "nft_payload"
	setter := strings.HasPrefix(info.kind, "nft_payload_set")
	if setter {
		structure = "nft_payload_set"
	}
	p, err := read[payloadPriv](d.r, private, structure)
	if err != nil {
		return err
	}
	if p.Base >= bases {
		return fmt.Errorf("base %d of a payload", p.Base)
	}
	e := &payload{base: int(p.Base), offset: int(p.Offset) * 8, length: int(p.Len) * 8}
	if !setter {
		d.set(p.Reg, e)
		return nil
	}
	d.resolvePayload(e)
	d.kill(e)
	return d.assign(e, p.Reg, int(p.Len))
}

// assign emits the statement that sets something to what is in a register.
func (d *decoder) assign(to expr, reg uint8, n int) error {
	from, err := d.get(reg, n)
	if err != nil {
		return err
	}
	from = d.resolve(from)
	if v, ok := from.(*value); ok {
		from = &value{data: v.data[:min(max(to.size(), 1), len(v.data))], order: to.big(), dt: to.typ()}
	}
	from = retype(from, to.typ())
	d.say(to.text()+" set "+from.text(), object{"mangle": object{"key": to.json(), "value": from.json()}})
	return nil
}

// retype gives the constants of an operation the type of what it is for.
func retype(e expr, dt *dataType) expr {
	b, ok := e.(*operation)
	if !ok {
		return e
	}
	right := b.right
	if v, ok := right.(*value); ok && (b.op == "&" || b.op == "|" || b.op == "^") {
		right = &value{data: v.data, order: b.left.big(), dt: dt}
	}
	return &operation{b.op, retype(b.left, dt), right}
}

type metaPriv struct {
	Key uint8 `kernel:"key"`
	Reg uint8 `kernel:"dreg"`
}

func onMeta(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	m, err := read[metaPriv](d.r, private, "nft_meta")
	if err != nil {
		return err
	}
	if int(m.Key) >= len(metaKeys) {
		return fmt.Errorf("key %d of meta", m.Key)
	}
	k := metaKeys[m.Key]
	words := "meta " + k.name
	if k.bare {
		words = k.name
	}
	e := &selector{words: words, js: object{"meta": object{"key": k.name}}, dt: k.dt, bytes: k.bytes, order: k.dt.big, key: "meta " + k.name}
	if strings.Contains(info.kind, "_set_") {
		return d.assign(e, m.Reg, k.bytes)
	}
	d.set(m.Reg, e)
	return nil
}

type ctPriv struct {
	Key uint8 `kernel:"key"`
	Dir uint8 `kernel:"dir"`
	Reg uint8 `kernel:"dreg"`
}

func onCT(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	c, err := read[ctPriv](d.r, private, "nft_ct", "nft_ct")
	if err != nil {
		return err
	}
	if int(c.Key) >= len(ctKeys) {
		return fmt.Errorf("key %d of ct", c.Key)
	}
	k := ctKeys[c.Key]
	dir := ""
	if c.Dir <= 1 && !strings.Contains(info.kind, "_set_") { // of several keys, IP_CT_DIR_MAX says none
		dir = [...]string{"original", "reply"}[c.Dir]
	}
	js := object{"key": k.name}
	words := "ct "
	if dir != "" {
		js["dir"] = dir
		words += dir + " "
	}
	e := &selector{words: words + k.name, js: object{"ct": js}, dt: k.dt, bytes: k.bytes, order: k.dt.big, key: "ct " + k.name}
	if strings.Contains(info.kind, "_set_") {
		return d.assign(e, c.Reg, k.bytes)
	}
	d.set(c.Reg, e)
	return nil
}

type fibPriv struct {
	Reg    uint8  `kernel:"dreg"`
	Result uint8  `kernel:"result"`
	Flags  uint32 `kernel:"flags"`
}

var fibFlags = []string{"saddr", "daddr", "mark", "iif", "oif"}

func onFIB(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	f, err := read[fibPriv](d.r, private, "nft_fib", "nft_fib", "nft_fib_inet", "nft_fib_ipv4")
	if err != nil {
		return err
	}
	var flags []string
	for i, name := range fibFlags {
		if f.Flags&(1<<i) != 0 {
			flags = append(flags, name)
		}
	}
	e := &selector{bytes: 4, key: "fib"}
	var result string
	switch f.Result {
	case 1:
		result, e.dt = "oif", typeIfindex
	case 2:
		result, e.dt, e.bytes = "oifname", typeIfname, 16
	case 3:
		result, e.dt = "type", typeFIB
	default:
		return fmt.Errorf("result %d of fib", f.Result)
	}
	if f.Flags&(1<<5) != 0 { // NFTA_FIB_F_PRESENT
		e.dt, e.bytes = typeBool, 1
	}
	e.words = "fib " + strings.Join(flags, " . ") + " " + result
	e.js = object{"fib": object{"result": result, "flags": anyList(flags)}}
	d.set(f.Reg, e)
	return nil
}

type socketPriv struct {
	Key   uint8 `kernel:"key"`
	Level uint8 `kernel:"level_user|level,optional"`
	Reg   uint8 `kernel:"dreg"`
}

func onSocket(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	s, err := read[socketPriv](d.r, private, "nft_socket", "nft_socket")
	if err != nil {
		return err
	}
	if int(s.Key) >= len(socketKeys) {
		return fmt.Errorf("key %d of socket", s.Key)
	}
	k := socketKeys[s.Key]
	words := "socket " + k.name
	if k.dt == typeCgroup2 {
		words += fmt.Sprint(" level ", s.Level)
	}
	d.set(s.Reg, &selector{words: words, js: object{"socket": object{"key": k.name}}, dt: k.dt, bytes: k.bytes, key: "socket"})
	return nil
}

type keyPriv struct {
	Key uint8 `kernel:"key"`
	Reg uint8 `kernel:"dreg"`
}

func onRT(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	s, err := read[keyPriv](d.r, private, "nft_rt")
	if err != nil {
		return err
	}
	if int(s.Key) >= len(rtKeys) {
		return fmt.Errorf("key %d of rt", s.Key)
	}
	k := rtKeys[s.Key]
	words, js := "rt ", object{"key": k.name}
	if k.name == "nexthop" && d.table.Family == "inet" {
		family := map[*dataType]string{typeIP: "ip", typeIP6: "ip6"}[k.dt]
		words += family + " "
		js["family"] = family
	}
	d.set(s.Reg, &selector{words: words + k.name, js: object{"rt": js}, dt: k.dt, bytes: k.bytes, order: k.dt.big, key: "rt"})
	return nil
}

type exthdrPriv struct {
	Type   uint8 `kernel:"type"`
	Offset uint8 `kernel:"offset"`
	Len    uint8 `kernel:"len"`
	Op     uint8 `kernel:"op"`
	Dreg   uint8 `kernel:"dreg"`
	Sreg   uint8 `kernel:"sreg"`
	Flags  uint8 `kernel:"flags"`
}

// exthdrNames are the options of TCP and IP and the extensions of IPv6 and SCTP that have names.
var exthdrNames = map[[2]uint8]string{
	{0, 0}: "hbh", {0, 43}: "rt", {0, 44}: "frag", {0, 60}: "dst", {0, 135}: "mh",
	{1, 0}: "eol", {1, 1}: "nop", {1, 2}: "maxseg", {1, 3}: "window", {1, 4}: "sack-perm", {1, 5}: "sack", {1, 8}: "timestamp",
	{2, 131}: "lsrr", {2, 7}: "rr", {2, 137}: "ssrr", {2, 148}: "ra",
}

// exthdrFields are the fields of those, by offset and length in bytes.
var exthdrFields = map[[4]uint8]field{
	{1, 2, 2, 2}: {name: "size", typ: typeInteger}, {1, 3, 2, 1}: {name: "count", typ: typeInteger}, {1, 8, 2, 4}: {name: "tsval", typ: typeInteger},
	{1, 8, 6, 4}: {name: "tsecr", typ: typeInteger}, {0, 44, 0, 1}: {name: "nexthdr", typ: typeProto}, {0, 44, 4, 4}: {name: "id", typ: typeInteger},
	{0, 0, 0, 1}: {name: "nexthdr", typ: typeProto}, {0, 43, 0, 1}: {name: "nexthdr", typ: typeProto}, {0, 60, 0, 1}: {name: "nexthdr", typ: typeProto},
}

// exthdrBits are the fields of those that are some bits: operation, type, offset and length in bits.
var exthdrBits = map[[4]uint8]string{
	{0, 44, 16, 13}: "frag-off", {0, 44, 29, 2}: "reserved2", {0, 44, 31, 1}: "more-fragments",
}

func onExthdr(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	x, err := read[exthdrPriv](d.r, private, "nft_exthdr")
	if err != nil {
		return err
	}
	words := [...]string{"exthdr", "tcp option", "ip option", "sctp chunk", "dccp option"}
	if int(x.Op) >= len(words) {
		return fmt.Errorf("operation %d of exthdr", x.Op)
	}
	name, ok := exthdrNames[[2]uint8{x.Op, x.Type}]
	if !ok {
		name = fmt.Sprint(x.Type)
	}
	prefix := words[x.Op] + " " + name
	if x.Op == 0 {
		prefix = name
	}
	if strings.Contains(info.kind, "strip") {
		d.say("reset "+prefix, object{"reset": object{"tcp option": object{"name": name}}})
		return nil
	}
	e := &selector{words: prefix, dt: typeInteger, bytes: int(x.Len), order: true, key: "exthdr"}
	e.bitsOf = func(offset, length int) expr {
		at := [4]uint8{x.Op, x.Type, uint8(8*int(x.Offset) + offset), uint8(length)} //nolint:gosec // what is cut off names no field
		f, ok := exthdrBits[at]
		if !ok || 8*int(x.Offset)+offset > 255 {
			return nil
		}
		part := *e
		part.words, part.js, part.bytes = prefix+" "+f, object{words[x.Op]: object{"name": name, "field": f}}, (length+7)/8
		return &part
	}
	if x.Op == 0 {
		e.key = "exthdr ip6"
	}
	js := object{"name": name}
	switch f, ok := exthdrFields[[4]uint8{x.Op, x.Type, x.Offset, x.Len}]; {
	case x.Flags&1 != 0: // NFT_EXTHDR_F_PRESENT
		e.dt, e.bytes = typeBool, 1
	case ok:
		e.words, e.dt = prefix+" "+f.name, f.typ
		js["field"] = f.name
	default:
		e.words = fmt.Sprintf("%s @%d,%d", prefix, int(x.Offset)*8, int(x.Len)*8)
		js["offset"], js["len"] = int(x.Offset)*8, int(x.Len)*8
	}
	if words[x.Op] == "exthdr" && e.dt == typeBool {
		e.words = "exthdr " + name
	}
	e.js = object{words[x.Op]: js}
	if strings.Contains(info.kind, "_set") {
		return d.assign(e, x.Sreg, int(x.Len))
	}
	d.set(x.Dreg, e)
	return nil
}
