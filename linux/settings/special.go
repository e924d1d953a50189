package settings

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An errNoValue says why a setting has no value, though nothing of it is lost.
type errNoValue string

// Error returns the reason.
func (e errNoValue) Error() string { return string(e) }

// boolean shows a bool, whatever maxlen is: until 6.3 it was that of an int.
func boolean(r *reader, _ string, t *ctlTable) (string, error) {
	b, err := r.k.Space().Uint8(t.Data)
	if b != 0 {
		return "1", err
	}
	return "0", err
}

// secret shows the struct ipv6_stable_secret of a device (net/ipv6/addrconf.c).
func secret(r *reader, _ string, t *ctlTable) (string, error) {
	b := make([]byte, 20)
	if _, err := r.k.Space().ReadVirt(b, t.Data); err != nil {
		return "", err
	}
	if b[0] == 0 {
		return "", errNoValue("not set")
	}
	var groups []string
	for i := 4; i < len(b); i += 2 {
		groups = append(groups, fmt.Sprintf("%04x", binary.BigEndian.Uint16(b[i:])))
	}
	return strings.Join(groups, ":"), nil
}

// logger shows who logs packets of a family (net/netfilter/nf_log.c): extra1 is the family, extra2 the
// namespace.
func logger(r *reader, _ string, t *ctlTable) (string, error) {
	const families = 64
	f, err := r.k.Symbols().Field("net", "nf.nf_loggers")
	if err != nil || t.Extra1 >= families || t.Extra2 == 0 {
		return "", errNoValue("computed by nf_log_proc_dostring")
	}
	at, err := r.k.Space().Uint64(t.Extra2 + vmem.VirtAddr(f.Offset) + 8*t.Extra1)
	if err != nil || at == 0 {
		return "NONE", err
	}
	name, err := r.k.Struct("nf_logger", vmem.VirtAddr(at)).At("name").Pointer()
	if err != nil {
		return "", err
	}
	return r.k.Space().CString(name, 64)
}

// ftraceEnabled is refused where ftrace gave up for ever (kernel/trace/ftrace.c).
func ftraceEnabled(r *reader, _ string, t *ctlTable) (string, error) {
	if at, err := r.k.Symbol("ftrace_disabled"); err == nil {
		if off, err := r.k.Space().Uint32(at); err == nil && off != 0 {
			return "", errNoValue("ftrace has disabled itself")
		}
	}
	return r.vector(t, 4, true, same)
}

// congestion shows the name of the struct tcp_congestion_ops that a namespace has.
func congestion(r *reader, _ string, t *ctlTable) (string, error) {
	return r.named("tcp_congestion_ops", "name", t.Data)
}

// qdisc shows the queueing discipline that devices get: default_qdisc_ops of net/sched/sch_api.c.
func qdisc(r *reader, _ string, _ *ctlTable) (string, error) {
	at, err := r.k.Symbol("default_qdisc_ops")
	if err != nil {
		return "", errNoValue("computed by set_default_qdisc")
	}
	return r.named("Qdisc_ops", "id", at)
}

// named returns a text in what a pointer leads to.
func (r *reader) named(typ, member string, pointer vmem.VirtAddr) (string, error) {
	at, err := r.k.Space().Uint64(pointer)
	if err != nil {
		return "", err
	}
	f, err := r.k.Symbols().Field(typ, member)
	if err != nil {
		return "", fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
	}
	return r.k.Space().CString(vmem.VirtAddr(at+f.Offset), 64)
}

// actionNames are those of the bits of seccomp_actions_logged, in the order in which they are shown
// (kernel/seccomp.c).
var actionNames = []struct {
	bit  uint
	name string
}{{0, "kill_process"}, {1, "kill_thread"}, {2, "trap"}, {3, "errno"}, {7, "user_notif"}, {4, "trace"}, {5, "log"}, {6, "allow"}}

func actions(r *reader, _ string, _ *ctlTable) (string, error) {
	at, err := r.k.Symbol("seccomp_actions_logged")
	if err != nil {
		return "", errNoValue("computed by seccomp_actions_logged_handler")
	}
	set, err := r.k.Space().Uint32(at)
	var names []string
	for _, a := range actionNames {
		if set>>a.bit&1 != 0 {
			names = append(names, a.name)
		}
	}
	return strings.Join(names, " "), err
}

// queueLength is kept in bytes, and shown in packets of SKB_TRUESIZE(ETH_FRAME_LEN).
func queueLength(r *reader, _ string, t *ctlTable) (string, error) {
	const frame, line = 1514, 64
	sum := int64(frame)
	for _, typ := range []string{"sk_buff", "skb_shared_info"} {
		u, err := r.k.Symbols().UserType(typ)
		if err != nil {
			return "", fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
		}
		sum += int64((u.Size + line - 1) / line * line)
	}
	return r.vector(t, 4, true, func(v int64) int64 { return v / sum })
}

// maxBitmap is the largest bitmap that is read, in bits: that of ports has 65536.
const maxBitmap = 1 << 20

// bitmap shows the ranges of the bits that are set in the bitmap that data points to; maxlen is
// in bits.
func bitmap(r *reader, _ string, t *ctlTable) (string, error) {
	if t.MaxLen < 0 || t.MaxLen > maxBitmap {
		return "", fmt.Errorf("%w: a bitmap of %d bits", kstruct.ErrCorrupt, t.MaxLen)
	}
	at, err := r.k.Space().Uint64(t.Data)
	if err != nil || at == 0 {
		return "", err
	}
	b := make([]byte, (int(t.MaxLen)+63)/64*8)
	if _, err := r.k.Space().ReadVirt(b, vmem.VirtAddr(at)); err != nil {
		return "", err
	}
	return bitRanges(b, int(t.MaxLen)), nil
}

// bitRanges returns the ranges of the bits that are set, such as 1-3,7.
func bitRanges(b []byte, n int) string {
	set := func(i int) bool { return i < n && b[i/8]>>(i%8)&1 != 0 }
	var out []string
	for i := 0; i < n; i++ {
		if !set(i) {
			continue
		}
		first := i
		for set(i + 1) {
			i++
		}
		if i == first {
			out = append(out, strconv.Itoa(first))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", first, i))
		}
	}
	return strings.Join(out, ",")
}

// staticKey shows whether a struct static_key is enabled: its first member counts.
func staticKey(r *reader, _ string, t *ctlTable) (string, error) {
	n, err := r.k.Space().Uint32(t.Data)
	if int32(n) > 0 { //nolint:gosec // an atomic_t
		return "1", err
	}
	return "0", err
}

// uuid shows the UUID of the boot, which is made when it is first asked for (drivers/char/random.c).
func uuid(r *reader, _ string, t *ctlTable) (string, error) {
	if t.Data == 0 {
		return "", errNoValue("made anew for each who asks")
	}
	b := make([]byte, 16)
	if _, err := r.k.Space().ReadVirt(b, t.Data); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// portRange is two numbers. Since 6.8 they are in one, and the table has the namespace that holds it (net/ipv4/sysctl_net_ipv4.c).
func portRange(r *reader, _ string, t *ctlTable) (string, error) {
	if t.MaxLen == 8 {
		return r.vector(t, 4, true, same)
	}
	if t.MaxLen != 0 {
		return "", fmt.Errorf("%w: a range of ports of %d bytes", kstruct.ErrCorrupt, t.MaxLen)
	}
	v, err := r.k.Struct("net", t.Data).At("ipv4.ip_local_ports.range").Uint()
	return fmt.Sprintf("%d\t%d", v&0xffff, v>>16), err
}

// variable shows a variable whose handler does not have it in its table.
func (r *reader) variable(symbol string, size int32) (string, error) {
	at, err := r.k.Symbol(symbol)
	if err != nil {
		return "", errNoValue("the symbol " + symbol + " is not known")
	}
	if size == 8 {
		return r.vector(&ctlTable{Data: at, MaxLen: size}, 8, false, same)
	}
	return r.vector(&ctlTable{Data: at, MaxLen: size}, 4, true, same)
}
