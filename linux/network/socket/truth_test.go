package socket

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
)

// asTruth returns the line of /proc/net that the kernel would write of a socket, and false
// where no file shows it.
func asTruth(s *Socket) (truth.Socket, bool) {
	t := truth.Socket{State: int(s.State), UID: s.UID, Inode: s.Inode, Refs: s.Refs}
	switch s.Family {
	case Inet, Inet6:
		inetTruth(s, &t)
		// What has no port, or is open and connected to nothing, no table has.
		return t, t.File != "" && s.Sources&InTable != 0
	case Unix:
		unixTruth(s, &t)
	case Netlink:
		t = truth.Socket{File: "netlink", Protocol: int(s.Number), Port: s.LocalPort, Inode: s.Inode, Refs: s.Refs, Send: s.SendQueue, Receive: s.ReceiveQueue}
		for _, g := range s.Netlink.Groups {
			if g <= 32 {
				t.Groups |= 1 << (g - 1)
			}
		}
		return t, s.Sources&InTable != 0
	case Packet:
		t = truth.Socket{File: "packet", Type: int(s.Type), Protocol: int(s.Number), Index: s.Index, Running: s.Packet.Running, UID: s.UID, Inode: s.Inode, Refs: s.Refs}
	default:
		return t, false
	}
	return t, true
}

func inetTruth(s *Socket, t *truth.Socket) {
	t.File = s.Protocol
	if s.Type == Raw {
		t.File = "raw"
		if s.Number == protoSCTP {
			defer func() { t.Receive = 0 }() // it hears heartbeats
		}
	}
	if t.File == "ipv6-icmp" {
		t.File = "icmp"
	}
	if s.Family == Inet6 {
		t.File += "6"
	}
	t.Local = netip.AddrPortFrom(s.LocalAddress.IP(), uint16(s.LocalPort))
	t.Remote = netip.AddrPortFrom(s.RemoteAddress.IP(), uint16(s.RemotePort))
	t.Send, t.Receive = s.SendQueue, s.ReceiveQueue
	if s.State == SynRecv && s.TCP == nil {
		t.Refs = 0 // get_openreq4 shows none
	}
	if s.TCP == nil {
		return
	}
	t.RTO, t.Window, t.Threshold = s.TCP.RTO/10_000, int64(s.TCP.Window), int64(s.TCP.SlowStart)
	switch {
	case s.State == Listen:
		t.Send = 0
		t.RTO, t.Threshold = 100, int64(s.TCP.FastOpen)
	case s.TCP.SlowStart >= 0x7fffffff: // tcp_in_initial_slowstart
		t.Threshold = -1
	}
	if truth.Resends(t.State) {
		t.RTO = 0
	}
}

func unixTruth(s *Socket, t *truth.Socket) {
	t.File, t.UID, t.Type, t.Path = "unix", 0, int(s.Type), s.Path
	connected := s.State == Established
	switch {
	case s.State == Listen:
	case s.Inode != 0 && connected:
		t.State = 3 // SS_CONNECTED
	case s.Inode != 0:
		t.State = 1 // SS_UNCONNECTED
	case connected:
		t.State = 2 // SS_CONNECTING
	default:
		t.State = 4 // SS_DISCONNECTING
	}
}

func compareTruth(a, b truth.Socket) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Inode, b.Inode), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
}

// checkTruth compares all sockets with what /proc/net showed: none is missing of those that
// it showed always, and none is there that it never showed.
func checkTruth(t *testing.T, all []*Socket, dir string) {
	t.Helper()
	want, files, err := truth.ReadSockets(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[uint32][]truth.Socket{}
	for _, s := range all {
		if line, ok := asTruth(s); ok && slices.Contains(files[s.NetNS], line.File) {
			found[s.NetNS] = append(found[s.NetNS], line)
		}
	}
	n := 0
	for ns, w := range want {
		slices.SortFunc(w.Always, compareTruth)
		for _, line := range w.Always {
			if !slices.Contains(found[ns], line) {
				t.Errorf("net:[%d] lacks %+v%s", ns, line, nearest(found[ns], line))
			}
			n++
		}
		for _, line := range found[ns] {
			if !slices.Contains(w.Ever, line) {
				t.Errorf("net:[%d] has %+v%s", ns, line, nearest(w.Ever, line))
			}
		}
	}
	if n < 10 {
		t.Errorf("%d sockets of the truth", n)
	}
	t.Logf("%d sockets of %d namespaces, %d lines of truth", len(all), len(want), n)
}

// checkOwners compares who holds sockets with the descriptors of all processes of the truth: one
// that was made after it has none there.
func checkOwners(t *testing.T, all []*Socket, dir string) {
	t.Helper()
	node, err := truth.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string][]Owner{}, map[string][]Owner{}
	known := map[int32]bool{}
	for _, p := range node.Processes {
		known[p.PID] = p.PID != node.Collector
		for _, fd := range p.FDs {
			if p.PID != node.Collector && strings.HasPrefix(fd.Path, "socket:[") {
				want[fd.Path] = append(want[fd.Path], Owner{PID: p.PID, FD: fd.FD})
			}
		}
	}
	for _, s := range all {
		for _, o := range s.Owners {
			if known[o.PID] && o.TID == 0 && s.Sources&InDescriptors != 0 {
				path := fmt.Sprintf("socket:[%d]", s.Inode)
				got[path] = append(got[path], o)
			}
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

// nearest returns the line of the same file and inode.
func nearest(all []truth.Socket, to truth.Socket) string {
	for _, s := range all {
		if s.File == to.File && s.Inode == to.Inode && s.Path == to.Path && s.Local == to.Local && s.Protocol == to.Protocol {
			return fmt.Sprintf("\n	but %+v", s)
		}
	}
	return ""
}

func TestTruth(t *testing.T) {
	t.Parallel()
	all, dir := soundSockets(t), openBundled(t).truth
	checkTruth(t, all, dir)
	checkOwners(t, all, dir)
	for _, s := range all {
		if s.Anomalies != 0 || strings.HasPrefix(s.State.String(), "STATE") {
			t.Errorf("%v: %v", s, s.Anomalies)
		}
	}
}

// TestTruthOfImages compares the sockets of other nodes, with symbols from their images and from
// their symbol files.
func TestTruthOfImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			img.EachSymbols(t, func(t *testing.T, isf string) {
				t.Parallel()
				checkImage(t, img, isf)
			})
		})
	}
}

func checkImage(t *testing.T, img testimages.Image, symbolFile string) {
	file, err := image.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	opts := new(linux.Options)
	if symbolFile != "" {
		if opts.Symbols, err = isf.Open(symbolFile); err != nil {
			t.Fatal(err)
		}
	}
	k, err := linux.Open(t.Context(), file.Memory, opts)
	if err != nil {
		t.Fatal(err)
	}
	all, errs := collect(t, k, processes(t, k))
	var without []string
	noSCTP := false
	for _, err := range errs {
		switch unsupported := errors.Is(err, kstruct.ErrUnsupported); { // of modules whose types nobody gave
		case unsupported && strings.Contains(err.Error(), "vsock"):
			without = append(without, "ss_vsock")
		case unsupported && strings.Contains(err.Error(), "SCTP"):
			noSCTP = true
		default:
			t.Error(err)
		}
	}
	checkTruth(t, all, img.Truth)
	checkOwners(t, all, img.Truth)
	checkSS(t, all, img.Truth, without...)
	if noSCTP {
		t.Log("no types of SCTP")
		return
	}
	checkAssociations(t, all, img.Truth)
}
