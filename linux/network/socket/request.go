package socket

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A timeWaitSock is struct inet_timewait_sock (include/net/inet_timewait_sock.h): what is left
// of a connection.
type timeWaitSock struct {
	Mark  uint32    `kernel:"tw_mark"`
	State uint8     `kernel:"tw_substate"` // TIME-WAIT, or FIN-WAIT-2
	Timer timerList `kernel:"tw_timer"`
}

// A requestSock is struct inet_request_sock (include/net/inet_sock.h): a connection that is not
// made yet, for which a SYN came.
type requestSock struct {
	Mark        uint32    `kernel:"ir_mark"`
	Retransmits uint8     `kernel:"req.num_retrans"`
	Timer       timerList `kernel:"req.rsk_timer"`
}

type requestViews struct {
	wait *kstruct.View[timeWaitSock]
	req  *kstruct.View[requestSock]
	next *kstruct.Field[vmem.VirtAddr] // of request_sock, in the queue of a listener
	sock *kstruct.Field[vmem.VirtAddr] // the socket that it became
	err  error
}

func bindRequest(types *isf.File) (v requestViews) {
	b := kstruct.NewBinder(types)
	v.wait = kstruct.Bind[timeWaitSock](b, "inet_timewait_sock")
	v.req = kstruct.Bind[requestSock](b, "inet_request_sock")
	v.next = kstruct.BindField[vmem.VirtAddr](b, "request_sock", "dl_next")
	v.sock = kstruct.BindField[vmem.VirtAddr](b, "request_sock", "sk")
	v.err = b.Err()
	return v
}

// fillTimeWait follows inet_twsk_diag_fill of net/ipv4/inet_diag.c.
func (f *finder) fillTimeWait(s *Socket) error {
	w, err := f.v.request.wait.Load(f.mem, s.Addr)
	if err != nil {
		return cause(err, f.v.request.err)
	}
	if state := State(w.State); state != TimeWait && state != FinWait2 {
		return corrupt("connection in TIME-WAIT and in the state %v", state)
	}
	s.Type, s.Number, s.Protocol, s.State = Stream, protoTCP, "tcp", State(w.State)
	s.Mark = w.Mark
	s.Timer = Timer{Kind: TimerTimeWait, Expires: f.clock.until(w.Timer.Expires)}
	return nil
}

// fillRequest follows inet_req_diag_fill.
func (f *finder) fillRequest(s *Socket, c *sockCommon) error {
	r, err := f.v.request.req.Load(f.mem, s.Addr)
	if err != nil {
		return cause(err, f.v.request.err)
	}
	s.Type, s.Number, s.Protocol, s.State = Stream, protoTCP, "tcp", SynRecv
	s.Mark, s.Listener = r.Mark, c.Listener
	s.Timer = Timer{TimerOn, f.clock.until(r.Timer.Expires), r.Retransmits}
	return nil
}
