package ipvs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
	"github.com/nodelens/nodelens/vmem"
)

// sorted returns the lines of a text, for the order of services is that of a hash table.
func sorted(text string) (out []string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

// The services of a namespace are those of ipvsadm -Sn.
func TestTrueServices(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		n.Needs(t, "ip_vs", "ip_vs_bind_scheduler")
		found := 0
		for _, ns := range n.Namespaces {
			got, part := "", false
			for s, err := range Services(t.Context(), n.K, n.Mods, ns) {
				if errors.Is(err, kstruct.ErrUnsupported) && !n.Typed(vsModule) {
					t.Skip("the image has no types of ip_vs")
				}
				if errors.Is(err, kstruct.ErrUnsupported) {
					part = true // the kernel has no symbol of the table, and it is told what is missed
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				found++
				got += s.String()
			}
			truth, _ := n.Truth(t, ns.Inum, "ipvsadm")
			if part {
				for _, l := range sorted(got) {
					if !slices.Contains(sorted(truth), l) {
						t.Errorf("%v: ipvsadm does not have %s", ns, l)
					}
				}
				continue
			}
			if d := cmp.Diff(sorted(truth), sorted(got)); d != "" {
				t.Errorf("%v (-ipvsadm +image):\n%s", ns, d)
			}
		}
		if found == 0 {
			t.Error("no service was compared")
		}
	})
}

// Connections that ipvsadm -Lnc shows as established are there.
func TestTrueConnections(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		for _, ns := range n.Namespaces {
			var got []string
			part := false
			for c, err := range Connections(t.Context(), n.K, n.Mods, ns) {
				if errors.Is(err, kstruct.ErrUnsupported) && !n.Typed(vsModule) {
					t.Skip("the image has no types of ip_vs")
				}
				if errors.Is(err, kstruct.ErrUnsupported) {
					part = true
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				got = append(got, fmt.Sprintf("%s %s %v %v %v", c.Protocol, c.State, c.Client, c.Virtual, c.Server))
			}
			truth, _ := n.Truth(t, ns.Inum, "ipvsadm_connections")
			for l := range strings.Lines(truth) {
				f := strings.Fields(l)
				if len(f) != 6 || f[2] != "ESTABLISHED" || part {
					continue
				}
				if want := fmt.Sprintf("%s %s %s %s %s", f[0], f[2], f[3], f[4], f[5]); !slices.Contains(got, want) {
					t.Errorf("%v lacks %s; it has %q", ns, want, got)
				}
			}
		}
	})
}

// The bundled node has no IPVS.
func TestBundled(t *testing.T) {
	n := nftest.Bundled(t)
	for _, ns := range n.Namespaces {
		for s, err := range Services(t.Context(), n.K, n.Mods, ns) {
			t.Errorf("%v: %+v, %v", ns, s, err)
		}
		for c, err := range Connections(t.Context(), n.K, n.Mods, ns) {
			t.Errorf("%v: %+v, %v", ns, c, err)
		}
	}
}

// Where the tables of services are is told by any service, as well as by their symbols.
func TestTablesOf(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		table, err := n.Mods.Symbol(vsModule, "ip_vs_svc_table")
		if err != nil {
			t.Skip("the kernel has no such table, or no symbol of it")
		}
		marks, err := n.Mods.Symbol(vsModule, "ip_vs_svc_fwm_table")
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		var r0 *reader // of the node itself, which has one by a mark
		for _, ns := range n.Namespaces {
			r := &reader{ctx: t.Context(), src: &nfkit.Source{K: n.K, Mods: n.Mods}, ns: ns, lost: func(err error) bool {
				t.Error(err)
				return true
			}}
			if !r.bind() {
				continue
			}
			r0 = first(r0, r)
			r.services(func(at vmem.VirtAddr) {
				s, err := r.service(at)
				if err != nil || s == nil {
					return
				}
				want := svcTables{services: table}
				if s.Mark != 0 {
					want = svcTables{marks: marks}
				}
				compared++
				if got, err := r.tablesOf([]vmem.VirtAddr{at}); err != nil || got != want {
					t.Errorf("%+v: %+v, %v, want %+v", s, got, err, want)
				}
			})
		}
		if compared == 0 {
			t.Error("no service")
		}
		if got := r0.marksNear(table); got != marks {
			t.Errorf("the table of marks is looked for at %v, it is at %v", got, marks)
		}
	})
}

func first(a, b *reader) *reader {
	if a != nil {
		return a
	}
	return b
}
