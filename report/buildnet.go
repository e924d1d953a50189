package report

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// endpoint returns an address and a port as ss shows them.
func endpoint(address string, port uint32) string {
	if address == "" {
		address = "*"
	}
	if port == 0 {
		return net.JoinHostPort(address, "*")
	}
	return net.JoinHostPort(address, strconv.FormatUint(uint64(port), 10))
}

func (b *builder) addNetwork() {
	n := b.node.Network
	if n == nil {
		return
	}
	for i := range n.Pods {
		b.addPodNetwork(&n.Pods[i])
	}
	for i := range cut(b, "sockets", n.Sockets, maxRows) {
		b.page.rest.Sockets = append(b.page.rest.Sockets, b.socket(&n.Sockets[i]))
	}
	for i := range cut(b, "tracked connections", n.Conntrack, maxRows) {
		c := &n.Conntrack[i]
		f := pageFlow{Protocol: text.Printable(c.Protocol), State: text.Printable(c.State), Pod: index(b.pods, c.SourcePodUID), PeerPod: index(b.pods, c.DestinationPodUID),
			From:  endpoint(c.Original.Source.String(), uint32(c.Original.SourcePort)),
			To:    endpoint(c.Original.Destination.String(), uint32(c.Original.DestinationPort)),
			Start: millis(c.Started), Address: address(c.Addr)}
		if there := endpoint(c.Reply.Source.String(), uint32(c.Reply.SourcePort)); there != f.To {
			f.Real = there
		}
		b.page.rest.Flows = append(b.page.rest.Flows, f)
	}
}

func (b *builder) addPodNetwork(n *cos.PodNetwork) {
	i, ok := b.pods[n.UID]
	if !ok {
		return
	}
	pod := &b.page.rest.Pods[i]
	pod.Host = n.Host
	for _, ip := range n.IPs {
		pod.IPs = append(pod.IPs, text.Printable(ip))
	}
	switch {
	case n.Host:
		pod.Facts = append(pod.Facts, fact{Name: "Network", Value: "the node's own", Bad: true})
	case len(n.IPs) > 0:
		pod.Facts = append(pod.Facts, fact{Name: "Addresses", Value: strings.Join(pod.IPs, ", ")})
	}
	for _, r := range slices.Concat(n.HostPorts, n.Services) {
		where := endpoint(r.Address, uint32(r.Port))
		if r.Name != "" {
			where = r.Name + " " + where
		}
		pod.Facts = append(pod.Facts, fact{Name: "Reached by " + text.Printable(r.By), Value: text.Printable(fmt.Sprintf("%s %s to port %d", r.Protocol, where, r.TargetPort))})
	}
}

func (b *builder) socket(s *cos.Socket) pageSocket {
	one := pageSocket{Protocol: text.Printable(s.Protocol), Pod: index(b.pods, s.PodUID), PeerPod: index(b.pods, s.PeerPodUID), Inode: s.Inode,
		NetNS: s.NetNS, Address: address(s.Addr), State: s.State.String()}
	if family := s.Family.String(); one.Protocol == "" || family == "unix" {
		one.Protocol = family
	}
	switch {
	case s.Path != "":
		one.Local = text.Printable(s.Path)
	case s.LocalPort != 0 || s.RemotePort != 0:
		one.Local = text.Printable(endpoint(s.LocalAddress.String(), s.LocalPort))
	}
	if s.RemotePort != 0 {
		one.Remote = text.Printable(endpoint(s.RemoteAddress.String(), s.RemotePort))
	}
	for _, o := range s.Owners {
		if !slices.Contains(one.PIDs, o.PID) {
			one.PIDs, one.FDs = append(one.PIDs, o.PID), append(one.FDs, o.FD)
		}
	}
	if s.Filter != nil {
		one.Note = "a filter looks at each packet"
	}
	if s.Anomalies != 0 {
		one.Note = strings.TrimPrefix(one.Note+"; "+text.Printable(fmt.Sprint(s.Anomalies)), "; ")
	}
	return one
}

func (b *builder) addFiles() {
	if b.node.Files == nil {
		return
	}
	all := b.node.Files.Nameless
	for i := range cut(b, "files without a name", all, maxRows) {
		f := &all[i]
		one := pageFile{Path: text.Printable(f.Path), FS: text.Printable(f.FSType), Size: f.Size, Cached: sum(f.Cached), Mode: mode(f.Mode),
			Pod: index(b.pods, f.PodUID), Changed: millis(f.Ctime), Inode: f.Number, Address: address(f.Addr)}
		var how []string
		for _, h := range f.Holders {
			if !slices.Contains(one.PIDs, h.PID) {
				one.PIDs = append(one.PIDs, h.PID)
			}
			if !slices.Contains(how, h.How) {
				how = append(how, h.How)
			}
		}
		one.How = text.Printable(strings.Join(how, ", "))
		b.page.rest.Files = append(b.page.rest.Files, one)
	}
}

// sum returns how many bytes extents have.
func sum(extents []pagecache.Extent) (n int64) {
	for _, e := range extents {
		n += e.Size
	}
	return n
}

// mode returns the type and the permissions of a file as ls has them, by st_mode.
func mode(m uint32) string {
	kind := map[uint32]string{0o14: "s", 0o12: "l", 0o10: "-", 0o6: "b", 0o4: "d", 0o2: "c", 0o1: "p"}[m>>12&0xf]
	return cmp.Or(kind, "?") + fmt.Sprintf("%04o", m&0o7777)
}

func (b *builder) addKernel() {
	var all []pageKernel
	for i := range b.node.Hooks {
		if h := &b.node.Hooks[i]; h.Suspect {
			target := h.Symbol
			if h.Owner != "" {
				target += " [" + h.Owner + "]"
			}
			why := ""
			if len(h.Evidence) > 0 {
				why = h.Evidence[len(h.Evidence)-1]
			}
			all = append(all, pageKernel{Kind: "hook", Name: h.Table + " " + h.Entry, Text: "calls " + target + ": " + why, Pod: -1, Bad: true, Address: address(h.Target)})
		}
	}
	for i := range b.node.Modules {
		m := &b.node.Modules[i]
		one := pageKernel{Kind: "module", Name: m.Name, Text: fmt.Sprintf("%d bytes, %s", m.Size, m.State), Pod: -1, Address: address(m.Address)}
		if m.Taints != 0 {
			one.Text, one.Bad = one.Text+", taints "+m.Taints.String(), true
		}
		if m.Hidden() {
			one.Text, one.Bad = one.Text+", hidden: "+m.Missing.String()+" lack it", true
		}
		all = append(all, one)
	}
	if b.node.BPF != nil {
		all = append(all, b.bpf()...)
	}
	for _, k := range cut(b, "modules, programs and hooks", all, maxRows) {
		k.Name, k.Text = text.Printable(k.Name), text.Line(k.Text)
		b.page.rest.Kernel = append(b.page.rest.Kernel, k)
	}
}

func (b *builder) bpf() (all []pageKernel) {
	for i := range b.node.BPF.Programs {
		p := &b.node.BPF.Programs[i]
		one := pageKernel{Kind: "BPF program", Name: p.FullName, Text: fmt.Sprintf("%s, ID %d, tag %s, %d instructions", p.Type, p.ID, p.Tag, p.Instructions),
			Pod: index(b.pods, p.PodUID), Address: p.Address.String()}
		if p.Name == "" && p.FullName == "" {
			one.Name = "without a name"
		}
		for _, a := range p.Attachments {
			one.Text += fmt.Sprintf(", on %s %s", a.Kind, a.Target)
		}
		if p.Hidden {
			one.Text, one.Bad = one.Text+", hidden", true
		}
		all = append(all, one)
	}
	return all
}
