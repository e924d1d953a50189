// Package ipvs reads what IPVS balances: services with the servers behind them, as ipvsadm shows
// them, and the connections to them.
//
// Errors and damage are as in package linux: an error is a [vmem.Gap], and does not end an
// iterator, but for the context's own.
package ipvs

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// A Service is a virtual service, struct ip_vs_service (include/net/ip_vs.h).
type Service struct {
	NetNS        uint32        `json:"netns"`
	Protocol     string        `json:"protocol,omitempty"` // tcp, udp, sctp; empty where packets are told by their mark
	Address      netip.Addr    `json:"address"`
	Port         uint16        `json:"port"`
	Mark         uint32        `json:"mark,omitempty"`       // of packets, where they are told by it
	Family       string        `json:"family"`               // inet, inet6
	Scheduler    string        `json:"scheduler"`            // such as rr
	Persistent   int64         `json:"persistent,omitempty"` // for how many seconds a client stays with its server; 0 if it does not
	Destinations []Destination `json:"destinations,omitempty"`
	Addr         vmem.VirtAddr `json:"structAddress"` // of struct ip_vs_service
}

// A Destination is a server behind a service, struct ip_vs_dest.
type Destination struct {
	Address  netip.Addr    `json:"address"`
	Port     uint16        `json:"port"`
	Forward  string        `json:"forward"` // Masq, Local, Tunnel, Route, Bypass as /proc/net/ip_vs has it
	Weight   int32         `json:"weight"`
	Active   int32         `json:"active"`             // connections
	Inactive int32         `json:"inactive,omitempty"` // 0 in kernels since 6.19, which count all: see Total
	Total    int32         `json:"total,omitempty"`    // all connections, in kernels that count them
	Addr     vmem.VirtAddr `json:"structAddress"`      // of struct ip_vs_dest
}

// A Connection is one to a service, struct ip_vs_conn: a line of ipvsadm -Lnc.
type Connection struct {
	NetNS    uint32         `json:"netns"`
	Protocol string         `json:"protocol"` // TCP, UDP, SCTP as /proc/net/ip_vs_conn has it
	State    string         `json:"state"`
	Client   netip.AddrPort `json:"client"`
	Virtual  netip.AddrPort `json:"virtual"`
	Server   netip.AddrPort `json:"server"`
	Expires  int64          `json:"expires"` // seconds; -1 where the kernel's time is not known
	Forward  string         `json:"forward"`
	Addr     vmem.VirtAddr  `json:"address"` // of struct ip_vs_conn
}

// String returns the service and its servers as ipvsadm -Sn writes them.
func (s *Service) String() string {
	name := fmt.Sprintf("-%c %v", strings.ToLower(s.Protocol + "f")[0], netip.AddrPortFrom(s.Address, s.Port))
	if s.Protocol == "" {
		name = fmt.Sprint("-f ", s.Mark)
		if s.Family == "inet6" {
			name += " -6"
		}
	}
	var b strings.Builder
	b.WriteString("-A " + name + " -s " + s.Scheduler)
	if s.Persistent > 0 {
		fmt.Fprint(&b, " -p ", s.Persistent)
	}
	b.WriteString("\n")
	for i := range s.Destinations {
		d := &s.Destinations[i]
		forward := map[string]string{"Masq": "-m", "Tunnel": "-i"}[d.Forward]
		if forward == "" {
			forward = "-g"
		}
		fmt.Fprintf(&b, "-a %s -r %v %s -w %d\n", name, netip.AddrPortFrom(d.Address, d.Port), forward, d.Weight)
	}
	return b.String()
}

// Services yields the services of a network namespace.
//
// Kernels that keep services for each namespace are read from struct net (net.ipvs.svc_table). Before, the tables
// are the static ip_vs_svc_table and ip_vs_svc_fwm_table: where they have no symbols, as in kernels whose
// kallsyms has no data, services are found by the servers that are in net.ipvs.rs_table, and an error
// that wraps [kstruct.ErrUnsupported] says that those without any such server are missed.
func Services(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) iter.Seq2[*Service, error] {
	return func(yield func(*Service, error) bool) {
		k.Physical().Refresh()
		r := &reader{ctx: ctx, src: &nfkit.Source{K: k, Mods: mods}, ns: ns}
		r.lost = func(err error) bool { return yield(nil, err) }
		if !r.bind() {
			return
		}
		seen := map[vmem.VirtAddr]bool{}
		r.services(func(at vmem.VirtAddr) {
			if r.ended || seen[at] || r.full(len(seen)) {
				return
			}
			seen[at] = true
			s, err := r.service(at)
			r.lose(at, err)
			if s != nil && !r.ended {
				r.ended = !yield(s, nil)
			}
		})
		if err := ctx.Err(); err != nil && !r.ended {
			yield(nil, err)
		}
	}
}

// Connections yields the connections of a network namespace. They are in net.ipvs.conn_tab, or before that
// in the static ip_vs_conn_tab of ip_vs_conn_tab_size chains; where these have no symbols, that is an error that wraps
// [kstruct.ErrUnsupported].
func Connections(ctx context.Context, k *linux.Kernel, mods *module.Set, ns *network.Namespace) iter.Seq2[*Connection, error] {
	return func(yield func(*Connection, error) bool) {
		k.Physical().Refresh()
		r := &reader{ctx: ctx, src: &nfkit.Source{K: k, Mods: mods}, ns: ns}
		r.lost = func(err error) bool { return yield(nil, err) }
		if !r.bind() {
			return
		}
		r.connections(func(c *Connection) {
			if !r.ended {
				r.ended = !yield(c, nil)
			}
		})
		if err := ctx.Err(); err != nil && !r.ended {
			yield(nil, err)
		}
	}
}

// maxObjects bounds how many services, and how many connections, are told.
const maxObjects = 1 << 20

// full reports whether n are as many as are told, and tells so once.
func (r *reader) full(n int) bool {
	if n < maxObjects {
		return false
	}
	if !r.told {
		r.told = true
		r.lose(r.ns.Addr, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxObjects))
	}
	return true
}
