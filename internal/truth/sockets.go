package truth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Socket is a line of one of the files of /proc/net, but for what moves: timers, and the
// memory of packet sockets. What is compared with it has the same form.
type Socket struct {
	File          string // such as tcp6
	Local, Remote netip.AddrPort
	State         int // as the file has it: of unix sockets SS_, of TCP TCP_
	Send, Receive int64
	UID           uint32
	Inode         uint64
	Refs          int32
	Type          int    // of unix and packet sockets
	Protocol      int    // of raw, netlink and packet sockets
	Port          uint32 // of netlink
	Groups        uint32 // of netlink, the first 32
	Path          string // of unix sockets, with @ for NUL
	RTO, Window   int64  // of TCP: in ticks, in segments; 0 of TIME-WAIT, requests, and what Resends
	Threshold     int64  // of TCP; of listeners how many may be fast opened
	Index         int32  // of packet sockets, the device
	Running       bool
}

// Sockets are those that the files of one namespace showed. The files were read many times,
// by many processes, while the machine ran.
type Sockets struct {
	Always, Ever []Socket // in all readings of their file, in any
}

// socketFiles are the files of /proc/net that are read.
var socketFiles = []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "unix", "netlink", "packet"}

// ReadSockets reads the files proc/net/*, pid/N/net_*, and net/N/proc/* of the truth in dir and returns the
// sockets of each namespace by its inode number, and which files there were of it.
func ReadSockets(dir string) (map[uint32]*Sockets, map[uint32][]string, error) {
	readings := map[uint32]map[string][]reading{}
	add := func(ns uint32, file, path string) error {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		all, err := parseSockets(file, string(data))
		if err != nil {
			return fmt.Errorf("truth: %s: %w", path, err)
		}
		if readings[ns] == nil {
			readings[ns] = map[string][]reading{}
		}
		readings[ns][file] = append(readings[ns][file], all)
		return nil
	}
	pids, err := numbers(filepath.Join(dir, "pid"))
	if err != nil {
		return nil, nil, err
	}
	for _, pid := range pids {
		of := filepath.Join(dir, "pid", strconv.Itoa(pid))
		f := &folder{dir: of}
		ns := f.namespaces()["net"]
		if f.err != nil || ns == 0 {
			continue // it ended
		}
		for _, file := range socketFiles {
			if err := add(ns, file, filepath.Join(of, "net_"+file)); err != nil {
				return nil, nil, err
			}
			if pid != 1 { // the collector is in the same namespace
				continue
			}
			if err := add(ns, file, filepath.Join(dir, "proc", "net", file)); err != nil {
				return nil, nil, err
			}
		}
	}
	spaces, err := numbers(filepath.Join(dir, "net"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, ns := range spaces {
		for _, file := range socketFiles {
			for _, when := range []string{"proc", "last"} {
				if err := add(uint32(ns), file, filepath.Join(dir, "net", strconv.Itoa(ns), when, file)); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	sockets, files := map[uint32]*Sockets{}, map[uint32][]string{}
	for ns, of := range readings {
		sockets[ns] = new(Sockets)
		for _, file := range socketFiles {
			if len(of[file]) > 0 {
				sockets[ns].merge(of[file])
				files[ns] = append(files[ns], file)
			}
		}
	}
	return sockets, files, nil
}

// merge adds the readings of one file.
func (s *Sockets) merge(readings []reading) {
	seen := map[Socket]int{}
	for _, r := range readings {
		for socket, stays := range r {
			seen[socket]++
			if !stays {
				seen[socket] = -len(readings) // which is seen in all never
			}
		}
	}
	for socket, n := range seen {
		s.Ever = append(s.Ever, socket)
		if n == len(readings) {
			s.Always = append(s.Always, socket)
		}
	}
}

// unixLine matches the beginning of a line of the file unix. A path may have newlines.
var unixLine = regexp.MustCompile(`^[0-9a-f]{16}: `)

// socketLines returns the lines of a file but for its head.
func socketLines(file, text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if last := len(all) - 1; file == "unix" && last > 0 && !unixLine.MatchString(line) {
			all[last] += line
			continue
		}
		all = append(all, line)
	}
	return all[min(1, len(all)):]
}

// A reading is the lines of a file, and which of them stay: not a connection in TIME-WAIT that is
// about to be forgotten.
type reading map[Socket]bool

// soon is how many ticks a connection must have left to be expected later.
const soon = 3 * TicksPerSecond

func parseSockets(file, text string) (reading, error) {
	all := reading{}
	for _, line := range socketLines(file, text) {
		p := &socketLine{words: strings.Fields(line)}
		s := Socket{File: file}
		switch file {
		case "unix":
			p.unix(&s, line)
		case "netlink":
			p.netlink(&s)
		case "packet":
			p.packet(&s)
		default:
			p.inet(&s)
		}
		if p.err != nil {
			return nil, fmt.Errorf("%q: %w", line, p.err)
		}
		all[s] = !p.passing
	}
	return all, nil
}

// A socketLine is a line of such a file. The first error sticks.
type socketLine struct {
	words   []string
	passing bool // it is about to be forgotten
	err     error
}

func (p *socketLine) word(i int) string {
	if i >= len(p.words) {
		p.err = errors.Join(p.err, errors.New("too few words"))
		return ""
	}
	return p.words[i]
}

func (p *socketLine) number(i, base int) int64 { return p.parse(p.word(i), base) }

func (p *socketLine) parse(s string, base int) int64 {
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		p.err = errors.Join(p.err, err)
	}
	return n
}

func (p *socketLine) pair(i, base int) (a, b int64) {
	x, y, _ := strings.Cut(p.word(i), ":")
	return p.parse(x, base), p.parse(y, base)
}

// address reads an address in words of 32 bits, each as the processor has it, and a port.
func (p *socketLine) address(i int) netip.AddrPort {
	ip, port, _ := strings.Cut(p.word(i), ":")
	b, err := hex.DecodeString(ip)
	if err != nil {
		p.err = errors.Join(p.err, err)
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(p.parse(port, 16)))
}

// inet reads a line that get_tcp4_sock of net/ipv4/tcp_ipv4.c and its like write.
func (p *socketLine) inet(s *Socket) {
	s.Local, s.Remote = p.address(1), p.address(2)
	s.State = int(p.number(3, 16))
	s.Send, s.Receive = p.pair(4, 16)
	s.UID, s.Inode, s.Refs = uint32(p.number(7, 10)), uint64(p.number(9, 10)), int32(p.number(10, 10))
	if timer, left := p.pair(5, 16); timer == 3 && left < soon {
		p.passing = true
	}
	if s.Local.Port() == 132 && strings.HasPrefix(s.File, "raw") {
		s.Receive = 0 // it hears the heartbeats of SCTP
	}
	if strings.HasPrefix(s.File, "tcp") && len(p.words) > 12 {
		s.RTO, s.Window, s.Threshold = p.number(12, 10), p.number(15, 10), p.number(16, 10)
		if Resends(s.State) {
			s.RTO = 0
		}
	}
}

// Resends reports whether a connection in a state of TCP waits for an answer and sends again
// what it wants to have answered, after an interval that grows: in SYN-SENT, FIN-WAIT-1,
// LAST-ACK and CLOSING.
func Resends(state int) bool { return state == 2 || state == 4 || state == 9 || state == 11 }

// unix reads a line of unix_seq_show of net/unix/af_unix.c.
func (p *socketLine) unix(s *Socket, line string) {
	s.Refs, s.Type, s.State = int32(p.number(1, 16)), int(p.number(4, 16)), int(p.number(5, 16))
	s.Inode = uint64(p.number(6, 10))
	if s.State == 1 && p.number(3, 16)&0x10000 != 0 { // it accepts connections
		s.State = 10
	}
	if len(p.words) > 7 {
		// One blank follows the inode, and the path may begin with others.
		at := 0
		for _, w := range p.words[:7] {
			at += strings.Index(line[at:], w) + len(w)
		}
		s.Path = strings.TrimSuffix(line[at+1:], "\n")
	}
}

// netlink reads a line of netlink_native_seq_show of net/netlink/af_netlink.c.
func (p *socketLine) netlink(s *Socket) {
	s.Protocol, s.Port, s.Groups = int(p.number(1, 10)), uint32(p.number(2, 10)), uint32(p.number(3, 16))
	s.Receive, s.Send = p.number(4, 10), p.number(5, 10)
	s.Refs, s.Inode = int32(p.number(7, 10)), uint64(p.number(9, 10))
}

// packet reads a line of packet_seq_show of net/packet/af_packet.c.
func (p *socketLine) packet(s *Socket) {
	s.Refs, s.Type, s.Protocol = int32(p.number(1, 10)), int(p.number(2, 10)), int(p.number(3, 16))
	s.Index, s.Running = int32(p.number(4, 10)), p.number(5, 10) != 0
	s.UID, s.Inode = uint32(p.number(7, 10)), uint64(p.number(8, 10))
}
