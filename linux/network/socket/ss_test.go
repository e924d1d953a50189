package socket

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/truth"
)

// ssFiles are what ss was asked, in each namespace.
var ssFiles = []string{"ss", "ss_netlink", "ss_packet", "ss_vsock", "ss_mptcp", "ss_sctp", "ss_xdp"}

// checkSS compares sockets with what ss said of each namespace, in both directions.
func checkSS(t *testing.T, all []*Socket, dir string, without ...string) {
	t.Helper()
	spaces, err := filepath.Glob(filepath.Join(dir, "net", "[0-9]*"))
	if err != nil || len(spaces) == 0 {
		t.Logf("no ss: %v", err)
		return
	}
	n := 0
	for _, space := range spaces {
		ns, err := strconv.ParseUint(filepath.Base(space), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range ssFiles {
			if slices.Contains(without, file) {
				continue
			}
			lines, err := truth.ReadSS(filepath.Join(space, file))
			if err != nil {
				t.Fatal(err)
			}
			n += len(lines)
			c := ssCheck{t: t, ns: uint32(ns), file: file, dir: space, lines: map[string]truth.SSLine{}}
			c.check(lines, all)
		}
	}
	t.Logf("%d lines of ss", n)
}

// An ssCheck compares the sockets of one namespace with one file.
type ssCheck struct {
	t     *testing.T
	ns    uint32
	file  string
	dir   string // of the namespace's truth
	lines map[string]truth.SSLine
	users bool // ss knew which processes have sockets
}

func (c *ssCheck) check(lines []truth.SSLine, all []*Socket) {
	lines = slices.DeleteFunc(lines, func(l truth.SSLine) bool { return (l.Words["sk"] == "" || l.Words["sk"] == "0") && ofProc(l.NetID) })
	diag := slices.ContainsFunc(lines, func(l truth.SSLine) bool { return ofProc(l.NetID) })
	for _, line := range lines {
		if key := lineKey(&line); key != "" {
			c.lines[key] = line
			c.users = c.users || len(line.Users) > 0
		}
	}
	left := maps.Clone(c.lines)
	for _, s := range all {
		if s.NetNS != c.ns {
			continue
		}
		key := socketKey(s, c.file)
		if key == "" {
			continue
		}
		line, ok := c.lines[key]
		if !ok {
			if len(c.lines) > 0 && ssShows(s) && (diag || s.Family == Unix || s.Protocol == "tcp") {
				c.t.Errorf("net:[%d] %s has not %v (%s), %v", c.ns, c.file, s, key, s.Sources)
			}
			continue
		}
		delete(left, key)
		c.compare(s, &line)
	}
	for key, line := range left {
		if !ownSS(&line) && !c.passed(&line) {
			c.t.Errorf("net:[%d] %s: no socket %s of %s %s %s %s %v", c.ns, c.file, key, line.NetID, line.State, line.Local, line.Peer, line.Words)
		}
	}
}

// ofProc reports whether ss reads sockets of a kind in /proc/net, which tells less, where the kernel was built without
// what answers it: all but TCP and unix of the kernels here.
func ofProc(netID string) bool {
	return netID == "udp" || netID == "raw" || netID == "icmp6" || strings.HasPrefix(netID, "p_")
}

// ownSS reports whether a line is of what ss asks with itself.
func ownSS(line *truth.SSLine) bool {
	return line.File == "ss_netlink" && strings.HasPrefix(line.Local, "4:")
}

// passed reports whether a connection that no process holds ended after ss looked: one in TIME-WAIT that was about to be forgotten,
// half a minute or less before memory was captured; and one that the tables did not have when they were read once more at the end.
func (c *ssCheck) passed(line *truth.SSLine) bool {
	timer := strings.Split(strings.Trim(line.Words["timer"], "()"), ",")
	if len(timer) != 3 || len(line.Users) > 0 {
		return false
	}
	switch {
	case timer[0] == "timewait":
		return ssTime(timer[1]) < 30_000 || !c.atEnd(line)
	case line.State == "LAST-ACK" && timer[0] == "on": // it sends its FIN again, and gives up
		return !c.atEnd(line)
	}
	return false
}

// atEnd reports whether the tables had a connection of these ports at the end.
func (c *ssCheck) atEnd(line *truth.SSLine) bool {
	for _, name := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(c.dir, "last", name))
		if err != nil {
			c.t.Fatal(err)
		}
		for entry := range strings.Lines(string(text)) {
			if f := strings.Fields(entry); len(f) > 3 && samePort(f[1], line.Local) && samePort(f[2], line.Peer) {
				return true
			}
		}
	}
	return false
}

// samePort reports whether an address as /proc/net/tcp shows it has the port of one of ss.
func samePort(proc, ss string) bool {
	a, errA := strconv.ParseUint(proc[strings.LastIndexByte(proc, ':')+1:], 16, 16)
	b, errB := strconv.ParseUint(ss[strings.LastIndexByte(ss, ':')+1:], 10, 16)
	return errA == nil && errB == nil && a == b
}

// lineKey names the socket of a line by what no other has: the cookie, or the inode of a unix
// socket, or its addresses. It is empty for what is told of elsewhere.
func lineKey(line *truth.SSLine) string {
	switch {
	case strings.HasPrefix(line.NetID, "u_"):
		return fmt.Sprintf("inode %d", line.LocalInode)
	case line.File == "ss_netlink":
		return "netlink " + line.Local
	case line.File == "ss_vsock":
		return "vsock " + line.NetID + " " + line.Local + " " + line.Peer
	}
	return "cookie " + line.Words["sk"]
}

// socketKey is lineKey of the line that a socket would have in a file.
func socketKey(s *Socket, file string) string {
	of := map[Family]string{Inet: "ss", Inet6: "ss", Unix: "ss", Netlink: "ss_netlink", Packet: "ss_packet", Vsock: "ss_vsock", XDP: "ss_xdp"}[s.Family]
	switch s.Number {
	case protoMPTCP:
		of = "ss_mptcp"
	case protoSCTP:
		if s.Type != Raw {
			of = "ss_sctp"
		}
	}
	if of != file {
		return ""
	}
	switch s.Family {
	case Unix:
		return fmt.Sprintf("inode %d", s.Inode)
	case Netlink:
		return fmt.Sprintf("netlink %d:%d", s.Number, int32(s.LocalPort))
	case Vsock:
		return fmt.Sprintf("vsock %s %v:%s %v:%s", vsockNetID(s.Type), s.LocalAddress, vsockPort(s.LocalPort), s.RemoteAddress, vsockPort(s.RemotePort))
	}
	return fmt.Sprintf("cookie %x", s.Cookie)
}

func vsockNetID(t Type) string {
	switch t {
	case Stream:
		return "v_str"
	case Dgram:
		return "v_dgr"
	}
	return "???"
}

func vsockPort(n uint32) string {
	if n == cidAny {
		return "*"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// ssShows reports whether ss shows such a socket: it asks for what is in tables, and the
// kernel leaves out what waits at a unix socket. What has no cookie was not asked for.
func ssShows(s *Socket) bool {
	switch {
	case s.Sources&(InTable|InSubflow) == 0, s.Type == Dgram && s.Protocol != "udp" && s.Family != Unix && s.Family != Packet: // ping, UDP-Lite
		return false
	case s.Family == Unix:
		return s.Inode != 0
	}
	return true
}

// most is how many packets may have come since ss looked: probes of windows that are shut, and
// what is sent again.
const most = 64

// compare compares all that a line says of a socket.
func (c *ssCheck) compare(s *Socket, line *truth.SSLine) {
	got := map[string]string{}
	want := map[string]string{}
	put := func(name, w string, g any) { want[name], got[name] = w, fmt.Sprint(g) }
	put("state", line.State, s.State)
	moving := truth.Resends(int(s.State)) || s.Protocol == "sctp" || s.Protocol == "tcpdiag" // which ss asks
	if !moving {
		put("receive", fmt.Sprint(line.Receive), s.ReceiveQueue)
		put("send", fmt.Sprint(line.Send), s.SendQueue)
	}
	if s.State.String() == "SYN-SENT" { // another attempt has another port
		delete(line.Words, "cwnd")
	} else {
		c.ends(s, line, put)
	}
	if c.users { // ss takes a name with a bracket for the end of it: what it has not, checkOwners tells
		have := ownersOf(s)
		for _, u := range line.Users {
			if !slices.Contains(have, u) {
				c.t.Errorf("net:[%d] %s: %v is not held by %v", c.ns, c.file, s, u)
			}
		}
	}
	for name, w := range line.Words {
		g, ok := ssWord(s, name, w)
		if ok && name == "skmem" && s.Family == Netlink && droppedMore(w, g) {
			continue
		}
		if ok && (!moving || name != "skmem") {
			put(name, w, g)
		}
	}
	if _, ok := line.Words["timer"]; !ok && s.Timer.Kind != TimerOff && s.Timer.Kind != TimerDelayedAck {
		put("timer", "", s.Timer)
	}
	for name, w := range want {
		if g := got[name]; g != w {
			c.t.Errorf("net:[%d] %s: %s %v: %s is %q, want %q", c.ns, c.file, line.NetID, s, name, g, w)
		}
	}
}

var ssDrops = regexp.MustCompile(`,d(\d+)\)$`)

// droppedMore reports whether a socket's memory is as ss has it but for messages that did not fit: what happens in the
// kernel goes on to be told to who does not read it.
func droppedMore(w, g string) bool {
	was, is := ssDrops.FindStringSubmatch(w), ssDrops.FindStringSubmatch(g)
	if was == nil || is == nil || strings.TrimSuffix(w, was[0]) != strings.TrimSuffix(g, is[0]) {
		return false
	}
	before, _ := strconv.ParseUint(was[1], 10, 32)
	after, _ := strconv.ParseUint(is[1], 10, 32)
	return after >= before
}

func ownersOf(s *Socket) []truth.SSUser {
	var all []truth.SSUser
	for _, o := range s.Owners {
		all = append(all, truth.SSUser{PID: o.PID, FD: o.FD})
	}
	return all
}

// ends compares both ends.
func (c *ssCheck) ends(s *Socket, line *truth.SSLine, put func(string, string, any)) {
	switch s.Family {
	case Unix:
		path := strings.TrimLeft(s.Path, " ")
		if s.Path == "" && !s.Abstract {
			path = "*"
		}
		put("path", line.Local, path)
		put("peer", fmt.Sprint(line.PeerInode), s.Peer)
	case Inet, Inet6:
		put("local", ssAddress(line.Local), ssEnd(s, s.LocalAddress, s.LocalPort))
		put("remote", ssAddress(line.Peer), ssEnd(s, s.RemoteAddress, s.RemotePort))
	}
}

// ssAddress is an address without the device that ss puts into it.
func ssAddress(text string) string {
	addr, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		addr, port = text[:i], text[i:]
	}
	addr, _, scoped := strings.Cut(addr, "%")
	if scoped && strings.HasPrefix(addr, "[") && !strings.HasSuffix(addr, "]") {
		addr += "]"
	}
	return addr + port
}

func ssEnd(s *Socket, a Address, port uint32) string {
	p := strconv.FormatUint(uint64(port), 10)
	if port == 0 {
		p = "*"
	}
	ip := a.IP()
	switch {
	case ip.Is6() && ip.IsUnspecified() && !s.Only6:
		return "*:" + p
	case ip.Is6():
		return "[" + a.String() + "]:" + p
	}
	return a.String() + ":" + p
}

// ssWord returns the word of ss of that name for a socket, and whether it is compared. What
// moves is not: times, and rates that are made of them.
func ssWord(s *Socket, name, want string) (string, bool) {
	switch name {
	case "ino":
		if s.Family == Unix {
			return "", false
		}
		return fmt.Sprint(s.Inode), true
	case "uid":
		return fmt.Sprint(s.UID), true
	case "fwmark":
		return fmt.Sprintf("%#x", s.Mark), true
	case "cgroup":
		return s.Cgroup, true
	case "v6only":
		return map[bool]string{false: "0", true: "1"}[s.Only6], true
	case "<->", "-->", "<--", "---":
		return s.Shut.String(), true
	case "skmem":
		m := *s.Memory
		var drops uint32
		if i := strings.LastIndex(want, ",d"); i >= 0 {
			_, _ = fmt.Sscanf(want[i:], ",d%d", &drops)
		}
		if m.Drops-drops <= most { // since ss looked
			m.Drops = drops
		}
		return fmt.Sprintf("(r%d,rb%d,t%d,tb%d,f%d,w%d,o%d,bl%d,d%d)", m.Receive, m.ReceiveBuffer, m.Transmit, m.SendBuffer, m.Forward, m.Queued, m.Options, m.Backlog, m.Drops), true
	case "timer":
		return ssTimer(s, want), true
	case "token":
		return strconv.FormatUint(uint64(s.MPTCPToken), 16), s.MPTCPToken != 0
	}
	if s.TCP == nil {
		return "", false
	}
	return ssTCP(s.TCP, name, want)
}

// ssTimer returns the timer in the form of ss, with the time that ss saw if that is near: it
// goes on, and what waits for an answer begins anew.
func ssTimer(s *Socket, want string) string {
	parts := strings.Split(strings.Trim(want, "()"), ",")
	if len(parts) != 3 || parts[0] != s.Timer.Kind.String() {
		return fmt.Sprint(s.Timer)
	}
	if s.Timer.Kind == TimerOn || s.Timer.Kind == TimerPersist { // that is sent again
		return want
	}
	at := ssTime(parts[1])
	if s.Timer.Expires > at+60_000 || s.Timer.Expires < at-600_000 || fmt.Sprint(s.Timer.Retransmits) != parts[2] {
		return fmt.Sprint(s.Timer)
	}
	return want
}

// ssTime returns milliseconds of what print_ms_timer of ss writes.
func ssTime(text string) (ms int64) {
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"min", 60_000}, {"sec", 1000}} {
		if head, tail, ok := strings.Cut(text, unit.name); ok {
			n, _ := strconv.ParseInt(head, 10, 64)
			ms += n * unit.ms
			text = tail
		}
	}
	n, _ := strconv.ParseInt(strings.TrimSuffix(text, "ms"), 10, 64)
	return ms + n
}

func ssTCP(i *TCP, name, want string) (string, bool) {
	numbers := map[string]uint64{
		"mss": uint64(i.MSS), "pmtu": uint64(i.PMTU), "rcvmss": uint64(i.ReceiveMSS), "advmss": uint64(i.AdvertisedMSS), "cwnd": uint64(i.Window),
		"ssthresh": uint64(i.SlowStart), "bytes_sent": i.BytesSent, "bytes_retrans": i.BytesRetransmitted, "bytes_acked": i.BytesAcked,
		"bytes_received": i.BytesReceived, "segs_in": uint64(i.SegmentsIn), "data_segs_out": uint64(i.DataSegmentsOut),
		"data_segs_in": uint64(i.DataSegmentsIn), "delivered": uint64(i.Delivered), "sacked": uint64(i.Sacked), "lost": uint64(i.Lost),
		"dsack_dups": uint64(i.DSACKs), "rcv_space": uint64(i.ReceiveSpace), "rcv_ssthresh": uint64(i.ReceiveThreshold),
		"snd_wnd": uint64(i.SendWindow), "reordering": uint64(i.Reordering),
	}
	if n, ok := numbers[name]; ok {
		if saw, err := strconv.ParseUint(want, 10, 64); err == nil && name == "segs_in" && n-saw <= most {
			n = saw
		}
		return fmt.Sprint(n), true
	}
	switch name {
	case "ts", "sack", "ecn":
		if map[string]bool{"ts": i.Timestamps, "sack": i.SACK, "ecn": i.ECN}[name] {
			return name, true
		}
		return "", true
	case "cubic", "reno", "bbr", "dctcp":
		return i.Congestion, !strings.HasPrefix(want, "(")
	case "wscale":
		return fmt.Sprintf("%d,%d", i.SendScale, i.ReceiveScale), true
	case "rtt":
		return fmt.Sprintf("%.6g/%.6g", float64(i.RTT)/1000, float64(i.RTTVar)/1000), true
	case "minrtt":
		return fmt.Sprintf("%.6g", float64(i.MinRTT)/1000), true
	case "rcv_rtt":
		return fmt.Sprintf("%.6g", float64(i.ReceiveRTT)/1000), true
	case "ato": // it grows where nothing comes
		if saw, err := strconv.ParseFloat(want, 64); err == nil && i.ATO > 0 && float64(i.ATO)/1000 >= saw {
			return want, true
		}
		return fmt.Sprintf("%g", float64(i.ATO)/1000), true
	}
	return "", false
}
