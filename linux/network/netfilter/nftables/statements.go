package nftables

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

type counterPriv struct {
	Counter vmem.VirtAddr `kernel:"counter"` // per CPU
}

// counter adds up what the CPUs have of a counter.
func (r *reader) counter(private vmem.VirtAddr) (packets, bytes uint64, err error) {
	p, err := read[counterPriv](r, private, "nft_counter_percpu_priv", "nft_counter")
	if err != nil {
		return 0, 0, err
	}
	types, _ := r.src.Types("nft_counter", nftModule, "nft_counter")
	b := kstruct.NewBinder(types)
	byteCount, packetCount := kstruct.BindMember(b, "nft_counter", "bytes"), kstruct.BindMember(b, "nft_counter", "packets")
	if err := b.Err(); err != nil {
		return 0, 0, err
	}
	space := r.src.K.Objects()
	cpus, err := space.CPUs()
	if err != nil {
		return 0, 0, err
	}
	for _, cpu := range cpus {
		at, err := space.PerCPUPtr(p.Counter, cpu)
		if err != nil {
			return packets, bytes, err
		}
		n, err := r.src.Mem().Uint64(packetCount.Of(at))
		if err != nil {
			return packets, bytes, err
		}
		m, err := r.src.Mem().Uint64(byteCount.Of(at))
		if err != nil {
			return packets, bytes, err
		}
		packets, bytes = packets+n, bytes+m
	}
	return packets, bytes, nil
}

func onCounter(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	packets, bytes, err := d.r.counter(private)
	if err != nil {
		return err
	}
	d.say(fmt.Sprintf("counter packets %d bytes %d", packets, bytes), object{"counter": object{"packets": packets, "bytes": bytes}})
	return nil
}

type limitPriv struct {
	Rate  uint64 `kernel:"rate"`
	NS    uint64 `kernel:"nsecs"`
	Burst uint32 `kernel:"burst"`
	Inv   bool   `kernel:"invert"`
}

var units = map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}

// limit reads a limit, in packets or in bytes.
func (r *reader) limit(private vmem.VirtAddr, bytes bool) (words string, js object, err error) {
	p, err := read[limitPriv](r, private, "nft_limit_priv", "nft_limit")
	if err != nil { // of packets and of bytes alike, struct nft_limit is the first member
		if p, err = read[limitPriv](r, private, "nft_limit", "nft_limit"); err != nil {
			return "", nil, err
		}
	}
	unit, ok := units[p.NS/1e9]
	if !ok {
		unit = fmt.Sprint(p.NS/1e9, " seconds")
	}
	js = object{"rate": p.Rate, "burst": p.Burst, "per": unit}
	over := ""
	if p.Inv {
		over = "over "
		js["inv"] = true
	}
	if !bytes {
		words = fmt.Sprintf("%s%d/%s", over, p.Rate, unit)
		if p.Burst != 5 {
			words += fmt.Sprintf(" burst %d packets", p.Burst)
		}
		return words, js, nil
	}
	rate, rateUnit := scaled(p.Rate)
	burst, burstUnit := scaled(uint64(p.Burst))
	js["rate"], js["rate_unit"], js["burst"], js["burst_unit"] = rate, rateUnit, burst, burstUnit
	words = fmt.Sprintf("%s%d %s/%s", over, rate, rateUnit, unit)
	if p.Burst != 0 {
		words += fmt.Sprintf(" burst %d %s", burst, burstUnit)
	}
	return words, js, nil
}

// scaled returns a number of bytes in the largest unit that it is a multiple of.
func scaled(n uint64) (uint64, string) {
	names := []string{"bytes", "kbytes", "mbytes"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(names)-1 {
		n, i = n/1024, i+1
	}
	return n, names[i]
}

func onLimit(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	words, js, err := d.r.limit(private, strings.Contains(info.kind, "bytes"))
	if err != nil {
		return err
	}
	d.say("limit rate "+words, object{"limit": js})
	return nil
}

type logPriv struct {
	Type    uint8         `kernel:"loginfo.type"`
	CopyLen uint32        `kernel:"loginfo.u.ulog.copy_len"`
	Group   uint16        `kernel:"loginfo.u.ulog.group"`
	Queue   uint16        `kernel:"loginfo.u.ulog.qthreshold"`
	Flags   uint16        `kernel:"loginfo.u.ulog.flags"`
	Level   uint8         `kernel:"loginfo.u.log.level"`
	LogFl   uint8         `kernel:"loginfo.u.log.logflags"`
	Prefix  vmem.VirtAddr `kernel:"prefix"`
}

var logLevels = [...]string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"}

func onLog(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[logPriv](d.r, private, "nft_log", "nft_log")
	if err != nil {
		return err
	}
	prefix, err := d.r.src.CString("prefix of log", p.Prefix, 256)
	if err != nil {
		return err
	}
	words, js := "log", object{}
	if prefix != "" {
		words += " prefix " + quote(prefix)
		js["prefix"] = prefix
	}
	if p.Type == 1 { // NF_LOG_TYPE_ULOG
		words += fmt.Sprint(" group ", p.Group)
		js["group"] = p.Group
		if p.CopyLen != 0 {
			words += fmt.Sprint(" snaplen ", p.CopyLen)
			js["snaplen"] = p.CopyLen
		}
		if p.Queue != 0 {
			words += fmt.Sprint(" queue-threshold ", p.Queue)
			js["queue-threshold"] = p.Queue
		}
	} else if p.Level != 4 {
		level := stringAt(logLevels[:], int(p.Level))
		words += " level " + level
		js["level"] = level
	}
	if p.Type != 1 && p.LogFl != 0 {
		addLogFlags(&words, js, p.LogFl)
	}
	var out any
	if len(js) > 0 {
		out = js
	}
	d.say(words, object{"log": out})
	return nil
}

// addLogFlags adds what is logged: NF_LOG_MASK of include/uapi/linux/netfilter/nf_log.h.
func addLogFlags(words *string, js object, flags uint8) {
	if flags&0x2f == 0x2f {
		*words += " flags all"
		js["flags"] = "all"
		return
	}
	var names []string
	tcp := ""
	if flags&1 != 0 {
		tcp = "sequence"
		names = append(names, "tcp sequence")
	}
	if flags&2 != 0 {
		if tcp != "" {
			tcp += ","
		}
		tcp += "options"
		names = append(names, "tcp options")
	}
	if tcp != "" {
		*words += " flags tcp " + tcp
	}
	for bit, name := range map[uint8]string{4: "ip options", 8: "skuid", 32: "ether"} {
		if flags&bit != 0 {
			*words += " flags " + name
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		js["flags"] = names[0]
	} else {
		js["flags"] = anyList(names)
	}
}

func stringAt(names []string, i int) string {
	if i >= 0 && i < len(names) {
		return names[i]
	}
	return fmt.Sprint(i)
}

type rejectPriv struct {
	Type uint8 `kernel:"type"`
	Code uint8 `kernel:"icmp_code"`
}

func onReject(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[rejectPriv](d.r, private, "nft_reject", "nft_reject", "nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6", "nft_reject_bridge")
	if err != nil {
		return err
	}
	kind, types := "icmp", typeICMPCode
	// Whether a packet is of IPv6 the rule can say, where the table is of both.
	v6 := d.table.Family == "ip6" || len(d.heads[baseNetwork]) > 0 && d.heads[baseNetwork][0].head == headIP6
	switch {
	case p.Type == 1:
		d.say("reject with tcp reset", object{"reject": object{"type": "tcp reset"}})
		return nil
	case p.Type == 2:
		kind, types = "icmpx", typeICMPXCode
	case v6:
		kind, types = "icmpv6", typeICMP6Code
	}
	d.killFamily(map[string]uint64{"icmp": 2, "icmpv6": 10}[kind])
	code, js := types.format([]byte{p.Code}, false)
	words := "reject with " + kind + " " + code
	if p.Type == 2 && p.Code == 1 || kind == "icmp" && p.Code == 3 || kind == "icmpv6" && p.Code == 4 {
		words = "reject"
		if p.Type != 2 && d.table.Family != "ip" && d.table.Family != "ip6" {
			words = "reject with " + kind + " " + code
		}
	}
	d.say(words, object{"reject": object{"type": kind, "expr": js}})
	return nil
}

// quota reads a quota: its bytes, what is used of them, and whether it matches above them.
func (r *reader) quota(private vmem.VirtAddr) (bytes, used uint64, over bool, err error) {
	const mod = "nft_quota"
	types, _ := r.src.Types("nft_quota", nftModule, mod)
	if types.HasField("nft_quota", "consumed.counter") {
		p, err := read[quotaOld](r, private, "nft_quota", mod)
		return uint64(p.Quota), uint64(p.Consumed), p.Flags&1 != 0, err //nolint:gosec // as in the kernel
	}
	p, err := read[quotaNew](r, private, "nft_quota", mod)
	if err != nil {
		return 0, 0, false, err
	}
	if !nfkit.Plausible(p.Consumed) {
		return 0, 0, false, nfkit.Pointer("nft_quota.consumed", p.Consumed)
	}
	used, err = r.src.Mem().Uint64(p.Consumed)
	return uint64(p.Quota), used, p.Flags&1 != 0, err //nolint:gosec // as in the kernel
}

type quotaNew struct {
	Quota    int64         `kernel:"quota.counter"`
	Flags    uint64        `kernel:"flags"`
	Consumed vmem.VirtAddr `kernel:"consumed"`
}

type quotaOld struct { // until 5.16
	Quota    int64  `kernel:"quota.counter"`
	Flags    uint64 `kernel:"flags"`
	Consumed int64  `kernel:"consumed.counter"`
}

func onQuota(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	bytes, used, over, err := d.r.quota(private)
	if err != nil {
		return err
	}
	words, js := quotaText(bytes, used, over)
	d.say("quota "+words, object{"quota": js})
	return nil
}

func quotaText(bytes, used uint64, over bool) (string, object) {
	n, unit := scaled(bytes)
	words, js := fmt.Sprintf("%d %s", n, unit), object{"val": n, "val_unit": unit}
	if over {
		words = "over " + words
		js["inv"] = true
	}
	if used != 0 {
		m, usedUnit := scaled(used)
		words += fmt.Sprintf(" used %d %s", m, usedUnit)
		js["used"], js["used_unit"] = m, usedUnit
	}
	return words, js
}

func onObjref(d *decoder, info *opsInfo, private vmem.VirtAddr) error {
	if strings.Contains(info.kind, "map") {
		p, err := read[objrefMap](d.r, private, "nft_objref_map", "nft_objref")
		if err != nil {
			return err
		}
		s, err := d.r.setAt(d.table, p.Set)
		if err != nil {
			return err
		}
		key, err := d.get(p.Sreg, int(s.raw.KeyLen))
		if err != nil {
			return err
		}
		m := &lookupExpr{key: d.resolve(key), set: d.r.setNode(s, key), dt: typeString}
		kind := objectKind(s.raw.Object)
		d.say(objrefWord(kind)+" "+m.text(), object{kind: m.json()})
		return nil
	}
	at, err := d.r.src.Mem().Uint64(private)
	if err != nil {
		return err
	}
	name, kind, err := d.r.objectName(vmem.VirtAddr(at))
	if err != nil {
		return err
	}
	d.say(objrefWord(kind)+" "+quote(name), object{kind: name})
	return nil
}

// objrefWord is how a statement names an object of a kind.
func objrefWord(kind string) string {
	switch kind {
	case "ct helper", "ct timeout", "ct expectation", "secmark":
		if kind == "secmark" {
			return "meta secmark set"
		}
		return kind + " set"
	case "synproxy":
		return "synproxy name"
	}
	return kind + " name"
}

type objrefMap struct {
	Set  vmem.VirtAddr `kernel:"set"`
	Sreg uint8         `kernel:"sreg"`
}

type queuePriv struct {
	Sreg  uint8  `kernel:"sreg_qnum"`
	Num   uint16 `kernel:"queuenum"`
	Total uint16 `kernel:"queues_total"`
	Flags uint16 `kernel:"flags"`
}

func onQueue(d *decoder, _ *opsInfo, private vmem.VirtAddr) error {
	p, err := read[queuePriv](d.r, private, "nft_queue", "nft_queue")
	if err != nil {
		return err
	}
	var flags []string
	for i, name := range []string{"bypass", "fanout"} {
		if p.Flags&(1<<i) != 0 {
			flags = append(flags, name)
		}
	}
	words, js := "queue", object{}
	if flags != nil {
		words += " flags " + strings.Join(flags, ",")
		js["flags"] = flagsJSON(flags)
	}
	switch {
	case p.Sreg != 0:
		e, err := d.get(p.Sreg, 2)
		if err != nil {
			return err
		}
		e = d.resolve(e)
		words += " to " + e.text()
		js["num"] = e.json()
	case p.Total > 1:
		words += fmt.Sprintf(" to %d-%d", p.Num, p.Num+p.Total-1)
		js["num"] = object{"range": []any{p.Num, p.Num + p.Total - 1}}
	default:
		words += fmt.Sprint(" to ", p.Num)
		js["num"] = p.Num
	}
	d.say(words, object{"queue": js})
	return nil
}

func flagsJSON(flags []string) any {
	if len(flags) == 1 {
		return flags[0]
	}
	return anyList(flags)
}

func onNotrack(d *decoder, _ *opsInfo, _ vmem.VirtAddr) error {
	d.say("notrack", object{"notrack": nil})
	return nil
}
