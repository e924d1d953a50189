package netfilter

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

// expectLine writes an expectation as conntrack -L expect does, without its timeout.
func expectLine(e *Expectation) string {
	var s strings.Builder
	fmt.Fprintf(&s, "proto=%d%s", map[string]int{"tcp": 6, "udp": 17}[e.Protocol], tupleText(e.Protocol, &e.Expected))
	if e.Expected.SourcePort == 0 && e.Expected.DestinationPort == 0 {
		s.WriteString(" sport=0 dport=0")
	}
	fmt.Fprintf(&s, " mask-src=%v mask-dst=%v sport=%d dport=%d", e.Mask.Source, e.Mask.Destination, e.Mask.SourcePort, e.Mask.DestinationPort)
	fmt.Fprintf(&s, " master-src=%v master-dst=%v sport=%d dport=%d", e.Master.Source, e.Master.Destination, e.Master.SourcePort, e.Master.DestinationPort)
	for _, f := range e.Flags {
		s.WriteString(" " + f)
	}
	fmt.Fprintf(&s, " class=%d", e.Class)
	if e.Helper != "" {
		s.WriteString(" helper=" + e.Helper)
	}
	return s.String()
}

var expectTimeout = regexp.MustCompile(`^\s*(\d+) `)

// The connections that are expected are those of conntrack -L expect, of which some time passed since.
func TestTrueExpectations(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		got := map[uint32][]string{}
		timeouts := map[string]int64{}
		for e, err := range Expectations(t.Context(), n.K, n.Mods, n.Namespaces) {
			switch {
			case errors.Is(err, kstruct.ErrUnsupported) && !n.Typed(ctModule):
				t.Skip("the image has no types of nf_conntrack")
			case err != nil:
				t.Error(err)
			default:
				line := expectLine(e)
				got[e.NetNS] = append(got[e.NetNS], line)
				timeouts[line] = e.Timeout
			}
		}
		compared := 0
		for _, ns := range n.Namespaces {
			truth, ok := n.Truth(t, ns.Inum, "conntrack_expect")
			if !ok && len(got[ns.Inum]) > 0 {
				t.Logf("no truth for %v", got[ns.Inum])
				continue
			}
			var want []string
			for l := range strings.Lines(truth) {
				m := expectTimeout.FindStringSubmatch(l)
				if m == nil {
					t.Fatalf("no expectation: %q", l)
				}
				line := strings.Join(strings.Fields(l[len(m[0]):]), " ")
				want = append(want, line)
				if then, _ := strconv.ParseInt(m[1], 10, 64); timeouts[line] > then || timeouts[line] < then-240 {
					t.Errorf("%s: %d seconds left, and %d then", line, timeouts[line], then)
				}
				compared++
			}
			slices.Sort(want)
			slices.Sort(got[ns.Inum])
			if d := cmp.Diff(want, got[ns.Inum]); d != "" {
				t.Errorf("%v (-conntrack +image):\n%s", ns, d)
			}
		}
		t.Logf("%d expectations", compared)
	})
}

// Connections that are in lists are those of conntrack -L dying and -L unconfirmed.
func TestTrueLists(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		all := connections(t, n)
		for _, list := range []string{"dying", "unconfirmed"} {
			compared := 0
			for _, ns := range n.Namespaces {
				truth, ok := n.Truth(t, ns.Inum, "conntrack_"+list)
				var got, want []string
				for _, c := range all[ns.Inum] {
					if c.List == list {
						got = append(got, line(c))
					}
				}
				if !ok {
					continue
				}
				for _, e := range parse(truth) {
					want = append(want, e.text)
				}
				compared += len(want)
				slices.Sort(got)
				slices.Sort(want)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%v, %s (-conntrack +image):\n%s", ns, list, d)
				}
			}
			t.Logf("%d %s", compared, list)
		}
	})
}
