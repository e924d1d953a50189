package nftables

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// objectKinds are the kinds of objects by their number (NFT_OBJECT_* of
// include/uapi/linux/netfilter/nf_tables.h).
var objectKinds = []string{
	"", "counter", "quota", "ct helper", "limit", "ct count", "tunnel", "ct timeout", "secmark", "ct expectation", "synproxy",
}

func objectKind(n uint32) string { return stringAt(objectKinds, int(min(n, 1<<16))) }

// objectName returns the name and the kind of the object at addr.
func (r *reader) objectName(at vmem.VirtAddr) (name, kind string, err error) {
	if !nfkit.Plausible(at) {
		return "", "", nfkit.Pointer("nft_object", at)
	}
	s, err := r.v.object.Load(r.src.Mem(), at)
	if err != nil {
		return "", "", err
	}
	if name, err = r.name("object", s.Name); err != nil {
		return "", "", err
	}
	kind, _, err = r.objectOps(s.Ops)
	return name, kind, err
}

// objectOps returns the kind of objects that have operations, and the function that shows them.
func (r *reader) objectOps(ops vmem.VirtAddr) (kind, dump string, err error) {
	if !nfkit.Plausible(ops) {
		return "", "", nfkit.Pointer("nft_object_ops", ops)
	}
	typ, err := r.v.objType.Load(r.src.Mem(), ops)
	if err != nil {
		return "", "", err
	}
	n, err := r.v.objNumber.Load(r.src.Mem(), typ)
	if err != nil {
		return "", "", err
	}
	at, err := r.v.objDump.Load(r.src.Mem(), ops)
	return objectKind(n), r.function(at), err
}

// readObjects reads the objects of a table.
func (r *reader) readObjects(t *Table, head vmem.VirtAddr) {
	for at, err := range r.entries(head, "nft_object") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		if !r.spend(at) {
			return
		}
		s, err := r.v.object.Load(r.src.Mem(), at)
		if err != nil {
			r.lose(at, err)
			continue
		}
		if !r.active(uint64(s.Genmask)) {
			continue
		}
		o := &Object{Handle: s.Handle, Addr: at}
		if o.Name, err = r.name("object", s.Name); err != nil {
			r.lose(at, err)
		}
		o.Comment = r.comment(at, s.Data, int(s.DataLen), 0)
		r.lose(at, r.addObject(o, &s))
		t.Objects = append(t.Objects, o)
	}
}

// addObject reads what an object is.
func (r *reader) addObject(o *Object, s *objectStruct) (err error) {
	var dump string
	if o.Kind, dump, err = r.objectOps(s.Ops); err != nil {
		return err
	}
	switch o.Kind {
	case "counter":
		packets, bytes, err := r.counter(s.Private)
		o.Values = object{"packets": packets, "bytes": bytes}
		o.lines = []string{fmt.Sprintf("packets %d bytes %d", packets, bytes)}
		return err
	case "quota":
		bytes, used, over, err := r.quota(s.Private)
		o.Values = object{"bytes": bytes, "used": used, "inv": over}
		words, _ := quotaText(bytes, used, over)
		o.lines = []string{words}
		return err
	case "limit":
		words, js, err := r.limit(s.Private, strings.Contains(dump, "bytes"))
		o.Values = js
		o.lines = []string{"rate " + words}
		return err
	case "ct helper":
		return r.addHelper(o, s.Private)
	case "ct timeout":
		return r.addTimeout(o, s.Private)
	case "ct expectation":
		return r.addExpectation(o, s.Private)
	}
	return fmt.Errorf("%w: values of objects of the kind %q", kstruct.ErrUnsupported, o.Kind)
}

type helperObj struct {
	V4    vmem.VirtAddr `kernel:"helper4"`
	V6    vmem.VirtAddr `kernel:"helper6"`
	Proto uint8         `kernel:"l4proto"`
}

func (r *reader) addHelper(o *Object, private vmem.VirtAddr) error {
	h, err := read[helperObj](r, private, "nft_ct_helper_obj", "nft_ct")
	if err != nil {
		return err
	}
	l3, at := "inet", h.V4
	switch {
	case h.V4 == 0:
		l3, at = "ip6", h.V6
	case h.V6 == 0:
		l3 = "ip"
	}
	types, _ := r.src.Types("nf_conntrack_helper", "nf_conntrack")
	b := kstruct.NewBinder(types)
	name := kstruct.BindMember(b, "nf_conntrack_helper", "name")
	if err := b.Err(); err != nil {
		return err
	}
	if !nfkit.Plausible(at) {
		return nfkit.Pointer("nf_conntrack_helper", at)
	}
	typ, err := r.src.Mem().CString(name.Of(at), 16)
	if err != nil {
		return err
	}
	proto, _ := typeProto.format([]byte{h.Proto}, true)
	o.Values = object{"type": typ, "protocol": proto, "l3proto": l3}
	o.lines = []string{"type " + quote(typ) + " protocol " + proto, "l3proto " + l3}
	return nil
}

type timeoutObj struct {
	Timeout vmem.VirtAddr `kernel:"timeout"`
	Proto   uint8         `kernel:"l4proto"`
}

type ctTimeout struct {
	L3   uint16        `kernel:"l3num"`
	Data vmem.VirtAddr `kernel:"&data"`
}

// timeoutStates are the states of TCP and UDP, by number, with the timeouts that nft does not write.
var timeoutStates = map[uint8][]string{
	6:   {"", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent2", "", "", "retrans", "unack"},
	17:  {"unreplied", "replied"},
	136: {"unreplied", "replied"},
}

var timeoutDefaults = map[uint8][]uint32{
	6:   {0, 120, 60, 432000, 120, 60, 30, 120, 10, 120, 0, 0, 300, 300},
	17:  {30, 120},
	136: {30, 120},
}

func (r *reader) addTimeout(o *Object, private vmem.VirtAddr) error {
	if r.timeErr != nil {
		return r.timeErr
	}
	p, err := read[timeoutObj](r, private, "nft_ct_timeout_obj", "nft_ct")
	if err != nil {
		return err
	}
	if !nfkit.Plausible(p.Timeout) {
		return nfkit.Pointer("nf_ct_timeout", p.Timeout)
	}
	t, err := read[ctTimeout](r, p.Timeout, "nf_ct_timeout", "nf_conntrack", "nft_ct")
	if err != nil {
		return err
	}
	proto, _ := typeProto.format([]byte{p.Proto}, true)
	l3 := families[t.L3]
	policy, words := object{}, []string(nil)
	for i, name := range timeoutStates[p.Proto] {
		ticks, err := r.src.Mem().Uint32(t.Data + vmem.VirtAddr(4*i))
		if err != nil {
			return err
		}
		if secs := uint32(r.jiffies.Ticks(uint64(ticks)).Seconds()); name != "" && secs != timeoutDefaults[p.Proto][i] {
			policy[name] = secs
			words = append(words, fmt.Sprintf("%s : %d", name, secs))
		}
	}
	o.Values = object{"protocol": proto, "l3proto": l3, "policy": policy}
	o.lines = []string{"protocol " + proto, "l3proto " + l3, "policy = { " + strings.Join(words, ", ") + " }"}
	return nil
}

type expectObj struct {
	L3      uint16 `kernel:"l3num"`
	Port    uint16 `kernel:"dport,be"`
	Proto   uint8  `kernel:"l4proto"`
	Size    uint8  `kernel:"size"`
	Timeout uint32 `kernel:"timeout"` // in milliseconds; in ticks since it has a helper of its own

	Helper vmem.VirtAddr `kernel:"helper,optional"` // since 7.2
}

func (r *reader) addExpectation(o *Object, private vmem.VirtAddr) error {
	e, err := read[expectObj](r, private, "nft_ct_expect_obj", "nft_ct")
	if err != nil {
		return err
	}
	proto, _ := typeProto.format([]byte{e.Proto}, true)
	l3, ms := families[e.L3], int64(e.Timeout)
	if e.Helper != 0 {
		if r.timeErr != nil {
			return r.timeErr
		}
		ms = r.jiffies.Ticks(uint64(e.Timeout)).Milliseconds()
	}
	o.Values = object{"protocol": proto, "dport": e.Port, "timeout": ms, "size": e.Size, "l3proto": l3}
	o.lines = []string{
		"protocol " + proto, fmt.Sprint("dport ", e.Port), "timeout " + durationText(ms), fmt.Sprint("size ", e.Size), "l3proto " + l3,
	}
	return nil
}
