package nftables

import (
	"encoding/binary"
	"strings"
)

// What nft keeps beside a set that was declared by typeof: an expression, as one attribute that says
// of which kind it is (enum expr_types of nft) and one with what is its own. The numbers are nft's
// (netlink.c, payload.c, exthdr.c, meta.c, ct.c and others of its sources), and part of what it
// promises to read again.
const (
	ofPayload = 7
	ofExthdr  = 8
	ofMeta    = 9
	ofSocket  = 10
	ofCT      = 12
	ofConcat  = 13
	ofRT      = 25
)

// typeofHeaders are the headers of payloads, by nft's enum proto_desc_id.
var typeofHeaders = []*header{
	1: headAH, 2: headESP, 3: headComp, 4: headICMP, 5: headIGMP, 6: headUDP, 7: headUDPLite, 8: headTCP, 9: headDCCP, 10: headSCTP, 11: headTH,
	12: headIP, 13: headIP6, 14: headICMP6, 15: headARP, 16: headVLAN, 17: headEther,
}

// A typed is an expression that gives a part of a set its type.
type typed struct {
	words string
	typ   *dataType
}

// typeofs returns the expressions that a set's keys, or what it maps them to, are of; nil where the
// set was not declared so, or by one that is not known.
func typeofs(b []byte) []typed {
	attrs := userData(b)
	if fixed32(attrs[0]) != ofConcat {
		if t, ok := typeofOne(attrs); ok {
			return []typed{t}
		}
		return nil
	}
	var all []typed
	parts := userData(attrs[1])
	for i := range byte(len(parts)) {
		t, ok := typeofOne(userData(parts[i]))
		if !ok {
			return nil
		}
		all = append(all, t)
	}
	return all
}

// fixed32 returns a number of an attribute, in the order of the machine; the largest where there is none.
func fixed32(b []byte) uint32 {
	if len(b) != 4 {
		return 1<<32 - 1
	}
	return binary.LittleEndian.Uint32(b)
}

func typeofOne(attrs map[byte][]byte) (typed, bool) {
	own := userData(attrs[1])
	switch first := fixed32(own[0]); fixed32(attrs[0]) {
	case ofPayload:
		return typeofPayload(own)
	case ofExthdr:
		return typeofExthdr(own)
	case ofMeta:
		if uint64(first) >= uint64(len(metaKeys)) {
			return typed{}, false
		}
		k := metaKeys[first]
		if k.bare {
			return typed{k.name, k.sized()}, true
		}
		return typed{"meta " + k.name, k.sized()}, true
	case ofCT:
		if uint64(first) >= uint64(len(ctKeys)) {
			return typed{}, false
		}
		words := "ct "
		if dir := fixed32(own[1]); dir <= 1 {
			words += [...]string{"original ", "reply "}[dir]
		}
		return typed{words + ctKeys[first].name, ctKeys[first].sized()}, true
	case ofSocket:
		if uint64(first) >= uint64(len(socketKeys)) || socketKeys[first].dt == typeCgroup2 { // its level is not kept
			return typed{}, false
		}
		return typed{"socket " + socketKeys[first].name, socketKeys[first].sized()}, true
	case ofRT:
		if uint64(first) >= uint64(len(rtKeys)) {
			return typed{}, false
		}
		k := rtKeys[first]
		words := map[*dataType]string{typeIP: "rt ip ", typeIP6: "rt ip6 "}[k.dt]
		if words == "" {
			words = "rt "
		}
		return typed{words + k.name, k.sized()}, true
	}
	return typed{}, false
}

// sized returns the type of a key, that of numbers with their length.
func (k *keyInfo) sized() *dataType {
	if k.dt.size != 0 {
		return k.dt
	}
	t := *k.dt
	t.size = k.bytes
	return &t
}

// typeofPayload returns some bits of a packet: a field of a header by its number, or by where they are.
func typeofPayload(own map[byte][]byte) (typed, bool) {
	desc, bits := fixed32(own[0]), fixed32(own[4])
	if desc == 0 {
		base, offset := fixed32(own[2]), fixed32(own[3])
		if base < 1 || base > 4 || bits > 512 || offset > 1<<16 { // enum proto_bases, which begins with none
			return typed{}, false
		}
		name := [...]string{"ll", "nh", "th", "ih"}[base-1]
		return typed{"@" + name + "," + itoa(int64(offset)) + "," + itoa(int64(bits)), integerOf(int(bits))}, true
	}
	if uint64(desc) >= uint64(len(typeofHeaders)) {
		return typed{}, false
	}
	h, i := typeofHeaders[desc], fixed32(own[1])
	if i == 0 || uint64(i) > uint64(len(h.fields)) {
		return typed{}, false
	}
	f := &h.fields[i-1]
	t := f.typ
	if t.size == 0 {
		t = integerOf(f.length)
	}
	return typed{h.name + " " + f.name, t}, true
}

// integerOf returns the type of a number in network order.
func integerOf(bits int) *dataType {
	return &dataType{name: typeInteger.name, size: (bits + 7) / 8, big: true}
}

// An extension that nft knows has fields by their number.
type extensionFields struct {
	words  string
	fields map[uint32]field // with the length in bits
}

// typeofExtensions are the extensions of IPv6 (by nft's enum exthdr_desc_id), the options of TCP (by
// their kind) and of IP, as nft_exthdr_op has them.
var typeofExtensions = map[[2]uint32]extensionFields{
	{0, 1}: {"hbh", ip6Header()},
	{0, 2}: {"rt", ip6Header(field{"type", 0, 8, typeInteger}, field{"seg-left", 0, 8, typeInteger})},
	{0, 5}: {"srh", map[uint32]field{1: {"last-entry", 0, 8, typeInteger}, 2: {"flags", 0, 8, typeInteger}, 3: {"tag", 0, 16, typeInteger}}},
	{0, 6}: {"frag", map[uint32]field{
		1: {"nexthdr", 0, 8, typeProto}, 2: {"reserved", 0, 8, typeInteger}, 3: {"frag-off", 0, 13, typeInteger}, 4: {"reserved2", 0, 2, typeInteger},
		5: {"more-fragments", 0, 1, typeInteger}, 6: {"id", 0, 32, typeInteger},
	}},
	{0, 7}:  {"dst", ip6Header()},
	{0, 8}:  {"mh", ip6Header(field{"type", 0, 8, typeMH}, field{"reserved", 0, 8, typeInteger}, field{"checksum", 0, 16, typeInteger})},
	{1, 2}:  {"tcp option maxseg", tcpOption(field{"size", 0, 16, typeInteger})},
	{1, 3}:  {"tcp option window", tcpOption(field{"count", 0, 8, typeInteger})},
	{1, 4}:  {"tcp option sack-perm", tcpOption()},
	{1, 5}:  {"tcp option sack", tcpOption(field{"left", 0, 32, typeInteger}, field{"right", 0, 32, typeInteger})},
	{1, 8}:  {"tcp option timestamp", tcpOption(field{"tsval", 0, 32, typeInteger}, field{"tsecr", 0, 32, typeInteger})},
	{1, 30}: {"tcp option mptcp", tcpOption(field{"subtype", 0, 4, typeInteger})},
	{2, 7}:  {"ip option rr", ipOption()}, {2, 131}: {"ip option lsrr", ipOption()}, {2, 137}: {"ip option ssrr", ipOption()}, {2, 148}: {"ip option ra", ipOption()},
}

func ip6Header(more ...field) map[uint32]field {
	return numbered(1, append([]field{{"nexthdr", 0, 8, typeProto}, {"hdrlength", 0, 8, typeInteger}}, more...))
}

func tcpOption(more ...field) map[uint32]field {
	return numbered(0, append([]field{{"kind", 0, 8, typeInteger}, {"length", 0, 8, typeInteger}}, more...))
}

func ipOption() map[uint32]field {
	return numbered(1, []field{{"type", 0, 8, typeInteger}, {"length", 0, 8, typeInteger}, {"value", 0, 16, typeInteger}, {"ptr", 0, 8, typeInteger}, {"addr", 0, 32, typeIP}})
}

// numbered gives fields numbers from the first on.
func numbered(first uint32, fields []field) map[uint32]field {
	m := map[uint32]field{}
	for i, f := range fields {
		m[first+uint32(i)] = f
	}
	return m
}

func typeofExthdr(own map[byte][]byte) (typed, bool) {
	op := fixed32(own[2])
	if own[2] == nil { // the first, NFT_EXTHDR_OP_IPV6
		op = 0
	}
	x := typeofExtensions[[2]uint32{op, fixed32(own[0])}]
	f, ok := x.fields[fixed32(own[1])]
	if !ok {
		return typed{}, false
	}
	t := f.typ
	if t.size == 0 {
		t = integerOf(f.length)
	}
	return typed{x.words + " " + f.name, t}, true
}

// declare sets the words by which a set was declared, and gives parts whose types say no more than that they
// are numbers their length and order.
func declare(types []*dataType, by []typed) ([]*dataType, string) {
	if len(by) == 0 || len(by) != len(types) {
		return types, ""
	}
	out, words := make([]*dataType, len(types)), make([]string, len(types))
	for i, t := range by {
		out[i], words[i] = types[i], t.words
		if types[i] == typeInteger || types[i].name == typeInteger.name && len(by) > 1 {
			out[i] = t.typ
		}
	}
	return out, strings.Join(words, " . ")
}
