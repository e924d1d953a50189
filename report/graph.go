package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// A Talk says that one end spoke to another.
type Talk struct {
	From, To Party
	// Ports are where the other end listens, such as tcp/8080, ascending.
	Ports []string
	// Connections is how many there were.
	Connections int
}

// A Party is a pod, the node itself, or somebody elsewhere.
type Party struct {
	PodUID string // of a pod
	Name   string // NAMESPACE/NAME of a pod, the node's name, or an address
	Node   bool   // it is the node
}

// Talks returns who talked to whom, pod by pod, from the sockets and tracked connections of the section [cos.SectionNetwork]; nil
// where the report lacks it. Who listens is who was spoken to. What a pod says to itself is left out.
func Talks(node *cos.NodeReport) []Talk {
	if node.Network == nil {
		return nil
	}
	g := talker{node: node, names: map[string]string{}, listens: map[portOf]bool{}, talks: map[[2]Party]*Talk{}}
	for i := range node.Pods {
		g.names[node.Pods[i].UID] = node.Pods[i].Namespace + "/" + node.Pods[i].Name
	}
	for i := range node.Network.Sockets {
		if s := &node.Network.Sockets[i]; s.State == socket.Listen {
			g.listens[portOf{s.NetNS, s.LocalPort}] = true
		}
	}
	for i := range node.Network.Sockets {
		g.socket(&node.Network.Sockets[i])
	}
	for i := range node.Network.Conntrack {
		c := &node.Network.Conntrack[i]
		if c.SourcePodUID != "" || c.DestinationPodUID != "" {
			g.add(g.party(c.SourcePodUID, c.Original.Source.String()), g.party(c.DestinationPodUID, c.Reply.Source.String()),
				fmt.Sprintf("%s/%d", c.Protocol, c.Reply.SourcePort), 0)
		}
	}
	out := make([]Talk, 0, len(g.talks))
	for _, t := range g.talks {
		slices.Sort(t.Ports)
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Talk) int {
		return cmp.Or(a.From.compare(b.From), a.To.compare(b.To))
	})
	return out
}

func (p Party) compare(q Party) int {
	return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.PodUID, q.PodUID))
}

type portOf struct {
	netns uint32
	port  uint32
}

type talker struct {
	node    *cos.NodeReport
	names   map[string]string // of pods, by UID
	listens map[portOf]bool
	talks   map[[2]Party]*Talk
}

func (g *talker) party(uid, elsewhere string) Party {
	if uid != "" {
		name := g.names[uid]
		if strings.Trim(name, "/") == "" {
			name = uid
		}
		return Party{PodUID: uid, Name: name}
	}
	if elsewhere == "" {
		return Party{Name: cmp.Or(g.node.Hostname, "the node"), Node: true}
	}
	return Party{Name: elsewhere}
}

// socket adds the connection of a socket. One whose port is listened on in its namespace was accepted. The other end has it, too,
// where that is on the node, and is not counted twice.
func (g *talker) socket(s *cos.Socket) {
	remote := s.RemoteAddress.IP()
	if s.RemotePort == 0 || !remote.IsValid() || remote.IsLoopback() || s.PodUID == s.PeerPodUID && s.PodUID != "" {
		return
	}
	self, peer := g.party(s.PodUID, ""), g.party(s.PeerPodUID, s.RemoteAddress.String())
	if g.listens[portOf{s.NetNS, s.LocalPort}] {
		once := 1
		if s.PeerSocket != 0 {
			once = 0 // the other end counts
		}
		g.add(peer, self, fmt.Sprintf("%s/%d", s.Protocol, s.LocalPort), once)
		return
	}
	g.add(self, peer, fmt.Sprintf("%s/%d", s.Protocol, s.RemotePort), 1)
}

func (g *talker) add(from, to Party, port string, connections int) {
	if from == to {
		return
	}
	key := [2]Party{from, to}
	t := g.talks[key]
	if t == nil {
		t = &Talk{From: from, To: to}
		g.talks[key] = t
	}
	t.Connections += connections
	if !slices.Contains(t.Ports, port) {
		t.Ports = append(t.Ports, port)
	}
}

// parties returns all who talk, in order.
func parties(talks []Talk) []Party {
	set := map[Party]bool{}
	for _, t := range talks {
		set[t.From], set[t.To] = true, true
	}
	return slices.SortedFunc(maps.Keys(set), Party.compare)
}

// maxPorts is how many ports an arrow names.
const maxPorts = 6

func (t *Talk) label() string {
	ports := t.Ports
	if more := len(ports) - maxPorts; more > 0 {
		ports = append(slices.Clone(ports[:maxPorts]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(ports, ", ")
}

// WriteMermaid writes who talked to whom as a flowchart of Mermaid, which Markdown in many places shows as a picture.
func WriteMermaid(w io.Writer, node *cos.NodeReport) error {
	talks := Talks(node)
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "flowchart LR")
	number := map[Party]int{}
	for i, p := range parties(talks) {
		number[p] = i
		open, end := "([", "])" // elsewhere
		switch {
		case p.PodUID != "":
			open, end = "[", "]"
		case p.Node:
			open, end = "[[", "]]"
		}
		fmt.Fprintf(out, "    n%d%s\"%s\"%s\n", i, open, mermaid(p.Name), end)
	}
	for i := range talks {
		fmt.Fprintf(out, "    n%d -->|\"%s\"| n%d\n", number[talks[i].From], mermaid(talks[i].label()), number[talks[i].To])
	}
	return out.Flush()
}

// mermaid returns a text for between double quotes, by Mermaid's entity codes for what could be markup or end it.
func mermaid(s string) string {
	var b strings.Builder
	for _, r := range text.Printable(s) {
		if strings.ContainsRune("\"<>&#;`\\|[](){}%*_~$", r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// WriteDot writes who talked to whom for Graphviz.
func WriteDot(w io.Writer, node *cos.NodeReport) error {
	talks := Talks(node)
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "digraph node {\n\trankdir=LR;\n\tnode [fontname=\"Helvetica\", shape=box];\n\tedge [fontname=\"Helvetica\", fontsize=10];")
	number := map[Party]int{}
	for i, p := range parties(talks) {
		number[p] = i
		shape := "ellipse" // elsewhere
		switch {
		case p.PodUID != "":
			shape = "box"
		case p.Node:
			shape = "box3d"
		}
		fmt.Fprintf(out, "\tn%d [label=%s, shape=%s];\n", i, dot(p.Name), shape)
	}
	for i := range talks {
		fmt.Fprintf(out, "\tn%d -> n%d [label=%s];\n", number[talks[i].From], number[talks[i].To], dot(talks[i].label()))
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

// dot returns a text as a string of the language of Graphviz, in which a backslash begins an escape.
func dot(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text.Printable(s)) + `"`
}
