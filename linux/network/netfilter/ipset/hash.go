package ipset

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// elements reads the elements of a set, by its type.
func (r *reader) elements(s *Set, raw *setStruct) error {
	if !nfkit.Plausible(raw.Data) {
		return nfkit.Pointer("ip_set.data", raw.Data)
	}
	switch {
	case s.Type == "list:set":
		return r.lists(s, raw)
	case strings.HasPrefix(s.Type, "bitmap:"):
		return r.bitmap(s, raw)
	case strings.HasPrefix(s.Type, "hash:"):
		return r.hash(s, raw)
	}
	return fmt.Errorf("%w: sets of the type %s", kstruct.ErrUnsupported, s.Type)
}

// moduleOf returns the name of the module of a type of sets.
func moduleOf(typ string) string {
	return "ip_set_" + strings.NewReplacer(":", "_", ",", "").Replace(typ)
}

type hashViews struct {
	bits    *kstruct.Field[uint8] // of htable
	buckets kstruct.Member
	used    kstruct.Member // of hbucket
	pos     *kstruct.Field[uint8]
	values  kstruct.Member
	maxElem *kstruct.Field[uint32]
}

func (r *reader) bindHash(typ, family string) (v hashViews, err error) {
	types, lost := r.src.Types("hbucket", moduleOf(typ), "ip_set_hash_ip", "ip_set_hash_net")
	b := kstruct.NewBinder(types)
	v.bits = kstruct.BindField[uint8](b, "htable", "htable_bits")
	v.buckets = kstruct.BindMember(b, "htable", "bucket")
	v.used = kstruct.BindMember(b, "hbucket", "used")
	v.pos = kstruct.BindField[uint8](b, "hbucket", "pos")
	v.values = kstruct.BindMember(b, "hbucket", "value")
	if err := b.Err(); err != nil {
		return v, cmp.Or(lost, err)
	}
	own, _ := r.src.Types("hbucket", moduleOf(typ))
	b = kstruct.NewBinder(own)
	name := strings.NewReplacer(":", "_", ",", "").Replace(typ) + "4"
	if family == "inet6" {
		name = strings.TrimSuffix(name, "4") + "6"
	}
	v.maxElem = kstruct.BindOptionalField[uint32](b, name, "maxelem")
	return v, nil
}

// hash reads a set that is kept as a hash table (net/netfilter/ipset/ip_set_hash_gen.h): the
// pointer to the table is the first member of all types of them.
func (r *reader) hash(s *Set, raw *setStruct) error {
	v, err := r.bindHash(s.Type, s.Family)
	if err != nil {
		return err
	}
	mem := r.src.Mem()
	at, err := mem.Uint64(raw.Data)
	if err != nil {
		return err
	}
	table := vmem.VirtAddr(at)
	if !nfkit.Plausible(table) {
		return nfkit.Pointer("htable", table)
	}
	n, err := v.bits.Load(mem, table)
	switch {
	case err != nil:
		return err
	case n > 24:
		return nfkit.Corrupt("htable of 2^%d buckets", n)
	case raw.Size == 0 || raw.Size > 1024:
		return nfkit.Corrupt("ip_set of elements of %d bytes", raw.Size)
	}
	if s.Family != "" {
		s.Header = "family " + s.Family + " "
	}
	s.Header += fmt.Sprint("hashsize ", 1<<n)
	if v.maxElem.Ok() {
		if most, err := v.maxElem.Load(mem, raw.Data); err == nil {
			s.Header += fmt.Sprint(" maxelem ", most)
		}
	}
	for i := range uint64(1) << n {
		if r.ended || i%1024 == 0 && r.ctx.Err() != nil {
			return nil //nolint:nilerr // the context ends all, and is told at the end
		}
		bucket, err := mem.Uint64(v.buckets.Of(table) + vmem.VirtAddr(8*i))
		if err != nil {
			return err
		}
		if bucket == 0 {
			continue
		}
		if err := r.bucket(s, raw, &v, vmem.VirtAddr(bucket)); err != nil {
			r.lose(vmem.VirtAddr(bucket), fmt.Errorf("set %s: %w", s.Name, err))
		}
	}
	return nil
}

// bucket reads the elements of a struct hbucket.
func (r *reader) bucket(s *Set, raw *setStruct, v *hashViews, at vmem.VirtAddr) error {
	if !nfkit.Plausible(at) {
		return nfkit.Pointer("hbucket", at)
	}
	mem := r.src.Mem()
	used, err := mem.Uint64(v.used.Of(at))
	if err != nil {
		return err
	}
	pos, err := v.pos.Load(mem, at)
	if err != nil {
		return err
	}
	if pos > 64 || bits.Len64(used) > int(pos) {
		return nfkit.Corrupt("hbucket of %d elements uses %#x", pos, used)
	}
	for i := range uint64(pos) {
		if used&(1<<i) == 0 {
			continue
		}
		if r.left--; r.left < 0 {
			return fmt.Errorf("%w: more than %d elements", kstruct.ErrTooMany, maxElements)
		}
		if err := r.element(s, raw, v.values.Of(at)+vmem.VirtAddr(i*raw.Size)); err != nil {
			return err
		}
	}
	return nil
}

// element reads the element of a hash table at addr.
func (r *reader) element(s *Set, raw *setStruct, at vmem.VirtAddr) error {
	b, err := r.src.Bytes(at, int(min(raw.Size, 1024)))
	if err != nil {
		return err
	}
	e := Element{}
	if e.Value, e.NoMatch, err = format(s.Type, s.Family, b); err != nil {
		return err
	}
	live, err := r.addExtensions(&e, raw, at)
	if live {
		s.Elements = append(s.Elements, e)
	}
	return err
}

// A part is where something is in an element.
type fields struct {
	ip, ip2, port, proto, cidr, cidr2, mark, iface, nomatch int
	// bits says that a prefix shares its byte with the bit that says that the element does not
	// match: 7 bits and one.
	bits bool
}

// layouts are where the parts of an element are, by type, for IPv4; for IPv6 each address
// moves what is behind it by 12 bytes (struct hash_*4_elem and hash_*6_elem of
// net/netfilter/ipset/ip_set_hash_*.c, which have been the same since 5.10). 0 is for what there is not.
var layouts = map[string]fields{
	"hash:ip":           {},
	"hash:ip,mark":      {mark: 4},
	"hash:ip,mac":       {},
	"hash:ip,port":      {port: 4, proto: 6},
	"hash:ip,port,ip":   {ip2: 4, port: 8, proto: 10},
	"hash:ip,port,net":  {ip2: 4, port: 8, cidr2: 10, nomatch: 10, proto: 11, bits: true},
	"hash:net":          {nomatch: 6, cidr: 7},
	"hash:net,port":     {port: 4, proto: 6, cidr: 7, nomatch: 7, bits: true},
	"hash:net,net":      {ip2: 4, nomatch: 8, cidr: 10, cidr2: 11},
	"hash:net,port,net": {ip2: 4, port: 8, cidr: 10, cidr2: 11, nomatch: 14, proto: 15},
	"hash:net,iface":    {cidr: 5, nomatch: 6, iface: 9},
}

// format writes an element.
func format(typ, family string, b []byte) (string, bool, error) {
	if typ == "hash:mac" {
		if len(b) < 6 {
			return "", false, nfkit.Corrupt("an element of %d bytes", len(b))
		}
		return macText(b), false, nil
	}
	f, ok := layouts[typ]
	if !ok {
		return "", false, fmt.Errorf("%w: elements of the type %s", kstruct.ErrUnsupported, typ)
	}
	n := 4
	if family == "inet6" {
		n = 16
		f = f.wide()
	}
	if len(b) < max(n, f.end(n)) {
		return "", false, nfkit.Corrupt("an element of %d bytes", len(b))
	}
	var words []string
	addresses := 0
	for part := range strings.SplitSeq(strings.TrimPrefix(typ, "hash:"), ",") {
		words = append(words, f.part(part, addresses > 0, n, b))
		if part == "ip" || part == "net" {
			addresses++
		}
	}
	nomatch := false
	if f.nomatch > 0 {
		nomatch = b[f.nomatch] != 0
		if f.bits {
			nomatch = b[f.nomatch]&0x80 != 0
		}
	}
	return strings.Join(words, ","), nomatch, nil
}

// wide returns the layout for IPv6.
func (f fields) wide() fields {
	move := func(p *int) {
		switch {
		case *p == 0:
		case f.ip2 != 0 && *p > f.ip2:
			*p += 24
		default:
			*p += 12
		}
	}
	out := f
	for _, p := range []*int{&out.ip2, &out.port, &out.proto, &out.cidr, &out.cidr2, &out.mark, &out.iface, &out.nomatch} {
		move(p)
	}
	return out
}

// end returns how long an element is at least.
func (f fields) end(n int) int {
	end := max(f.ip+n, f.port+2, f.proto+1, f.cidr+1, f.cidr2+1, f.nomatch+1)
	if f.ip2 > 0 {
		end = max(end, f.ip2+n)
	}
	if f.mark > 0 {
		end = max(end, f.mark+4)
	}
	if f.iface > 0 {
		end = max(end, f.iface+16)
	}
	return end
}

// part writes one part of an element.
func (f fields) part(name string, second bool, n int, b []byte) string {
	ip, cidr := f.ip, f.cidr
	if second {
		ip, cidr = f.ip2, f.cidr2
	}
	switch name {
	case "ip", "net":
		a, _ := netip.AddrFromSlice(b[ip : ip+n])
		if name == "net" && cidr > 0 {
			length := int(b[cidr])
			if f.bits {
				length = length&0x7f + 1 // it is kept less one
			}
			if length != 8*n {
				return fmt.Sprintf("%v/%d", a, length)
			}
		}
		return a.String()
	case "port":
		return portText(b[f.proto], binary.BigEndian.Uint16(b[f.port:]))
	case "mark":
		return fmt.Sprintf("0x%08x", binary.LittleEndian.Uint32(b[f.mark:]))
	case "mac":
		return macText(b[n:])
	case "iface":
		return nfkit.Text(b[f.iface : f.iface+16])
	}
	return name
}

func macText(b []byte) string {
	b = append(slices.Clone(b), make([]byte, 6)...)
	return fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", b[0], b[1], b[2], b[3], b[4], b[5])
}

var protos = map[uint8]string{6: "tcp", 17: "udp", 132: "sctp", 136: "udplite", 1: "icmp", 58: "ipv6-icmp"}

// portText writes a port, or for ICMP a type and code.
func portText(proto uint8, port uint16) string {
	name, ok := protos[proto]
	if !ok {
		name = fmt.Sprint(proto)
	}
	if proto == 1 || proto == 58 {
		return fmt.Sprintf("%s:%d/%d", name, port>>8, port&0xff)
	}
	return fmt.Sprintf("%s:%d", name, port)
}
