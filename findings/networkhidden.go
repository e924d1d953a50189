package findings

import (
	"context"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// hiddenSocket looks for sockets that the tables of their protocols lack.
func hiddenSocket(ctx context.Context, n *Node, r *Reporter) error {
	for i := range n.Report.Network.Sockets {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := &n.Report.Network.Sockets[i]
		bad := s.Anomalies & (socket.NotInTable | socket.WrongBucket | socket.ForeignFile)
		if bad == 0 {
			continue
		}
		f := Finding{Subject: n.ofSocket(s), Object: s.Addr.String(), Confidence: Likely, Evidence: []Evidence{ofSocket(s, "anomalies", s.Anomalies.String()), ofSocket(s, "socket", s.String())},
			Summary: "its views disagree: " + bad.String(), Benign: []Benign{{causeSmear, RuledOut}}}
		if n.Report.Consistency == nil || n.Report.Consistency.Broken > 0 {
			f.Confidence, f.Benign[0].State = Possible, Unchecked
		}
		r.Found(f)
	}
	return nil
}

// eachHiddenDevice calls do with each device that tables lack which have others of its namespace: which tables there are depends on the kernel.
func (n *Node) eachHiddenDevice(do func(ns *cos.NetworkNamespace, d *network.Device, lack network.DeviceSources)) {
	if n.Report.Network == nil {
		return
	}
	for i := range n.Report.Network.Namespaces {
		ns := &n.Report.Network.Namespaces[i]
		var tables network.DeviceSources
		for _, d := range ns.Devices {
			tables |= d.Sources
		}
		for _, d := range ns.Devices {
			if lack := tables &^ d.Sources; lack != 0 {
				do(ns, d, lack)
			}
		}
	}
}

func hiddenDevice(n *Node, found func(Finding)) {
	n.eachHiddenDevice(func(ns *cos.NetworkNamespace, d *network.Device, lack network.DeviceSources) {
		found(Finding{Subject: ofNamespace(n, ns), Object: deviceName(ns, d), Confidence: Likely, Evidence: []Evidence{ofDevice(d, "found by", d.Sources.String()), ofDevice(d, "missing from", lack.String())},
			Summary: quote(d.Name) + " is missing from the " + lack.String()})
	})
}
