package findings

import (
	"context"

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
