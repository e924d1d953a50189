package socket

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// TCP is what ss -i tells of a TCP socket, struct tcp_info of include/uapi/linux/tcp.h. Times are
// in microseconds unless they say otherwise, sizes in bytes. A listening socket has a
// congestion control and a window, and the rest is 0.
type TCP struct {
	Congestion         string `json:"congestion"`    // the algorithm, such as cubic
	ULP                string `json:"ulp,omitempty"` // what is between the socket and TCP, such as tls or mptcp
	Timestamps         bool   `json:"timestamps"`    // options that were agreed on
	SACK               bool   `json:"sack"`
	ECN                bool   `json:"ecn"`
	WindowScale        bool   `json:"windowScale"`
	SendScale          uint8  `json:"sendScale"` // the peer's
	ReceiveScale       uint8  `json:"receiveScale"`
	RTO                int64  `json:"rto"`
	ATO                int64  `json:"ato"`
	Backoff            uint8  `json:"backoff"`
	Retransmits        uint8  `json:"retransmits"` // of what is not acknowledged
	Probes             uint8  `json:"probes"`
	RTT                uint32 `json:"rtt"`
	RTTVar             uint32 `json:"rttVar"`
	MinRTT             uint32 `json:"minRTT"`
	ReceiveRTT         uint32 `json:"receiveRTT"`
	MSS                uint32 `json:"mss"`
	PMTU               uint32 `json:"pmtu"`
	ReceiveMSS         uint32 `json:"receiveMSS"`
	AdvertisedMSS      uint32 `json:"advertisedMSS"`
	Window             uint32 `json:"congestionWindow"` // in segments
	SlowStart          uint32 `json:"slowStartThreshold"`
	BytesSent          uint64 `json:"bytesSent"`
	BytesRetransmitted uint64 `json:"bytesRetransmitted"`
	BytesAcked         uint64 `json:"bytesAcked"`
	BytesReceived      uint64 `json:"bytesReceived"`
	SegmentsOut        uint32 `json:"segmentsOut"`
	SegmentsIn         uint32 `json:"segmentsIn"`
	DataSegmentsOut    uint32 `json:"dataSegmentsOut"`
	DataSegmentsIn     uint32 `json:"dataSegmentsIn"`
	LastSent           int64  `json:"lastSent"`     // milliseconds since data was sent
	LastReceived       int64  `json:"lastReceived"` // since data was received
	LastAck            int64  `json:"lastAck"`      // since an acknowledgement was received
	Unacked            uint32 `json:"unacked"`      // in segments, as what follows
	Sacked             uint32 `json:"sacked"`
	Lost               uint32 `json:"lost"`
	Retransmitting     uint32 `json:"retransmitting"`
	TotalRetransmits   uint32 `json:"totalRetransmits"`
	Reordering         uint32 `json:"reordering"`
	Delivered          uint32 `json:"delivered"`
	DSACKs             uint32 `json:"dsacks"`
	ReceiveSpace       uint32 `json:"receiveSpace"`
	ReceiveThreshold   uint32 `json:"receiveThreshold"`
	SendWindow         uint32 `json:"sendWindow"`
	ReceiveWindow      uint32 `json:"receiveWindow"`
	PacingRate         uint64 `json:"pacingRate"`           // in bytes a second
	MPTCPToken         uint32 `json:"mptcpToken,omitempty"` // of a subflow: that of its connection

	FastOpen int32 `json:"fastOpen,omitempty"` // of a listener: how many connections may carry data before they are made
}

// A tcpSock is what is read of struct tcp_sock (include/linux/tcp.h), which begins with an
// inet_connection_sock.
type tcpSock struct {
	Pending     uint8         `kernel:"inet_conn.icsk_pending"`
	Retransmits uint8         `kernel:"inet_conn.icsk_retransmits"`
	ProbesOut   uint8         `kernel:"inet_conn.icsk_probes_out"`
	Backoff     uint8         `kernel:"inet_conn.icsk_backoff"`
	RTO         uint32        `kernel:"inet_conn.icsk_rto"`
	ATO         uint32        `kernel:"inet_conn.icsk_ack.ato"`
	AckPending  uint8         `kernel:"inet_conn.icsk_ack.pending"`
	RcvMSS      uint16        `kernel:"inet_conn.icsk_ack.rcv_mss"`
	LastRcv     uint32        `kernel:"inet_conn.icsk_ack.lrcvtime"`
	PMTU        uint32        `kernel:"inet_conn.icsk_pmtu_cookie"`
	CA          vmem.VirtAddr `kernel:"inet_conn.icsk_ca_ops"`
	ULP         vmem.VirtAddr `kernel:"inet_conn.icsk_ulp_ops"`
	ULPData     vmem.VirtAddr `kernel:"inet_conn.icsk_ulp_data"`
	FastOpen    int32         `kernel:"inet_conn.icsk_accept_queue.fastopenq.max_qlen"`
	// The timer has its own time since 6.19; and keepalive a timer of its own since then,
	// in stable kernels before.
	Timeout   uint64    `kernel:"inet_conn.icsk_inet.sk.tcp_retransmit_timer.expires|inet_conn.icsk_timeout"`
	Keepalive timerList `kernel:"inet_conn.icsk_keepalive_timer|inet_conn.icsk_inet.sk.sk_timer"`
	Delack    timerList `kernel:"inet_conn.icsk_delack_timer"`

	WriteSeq     uint32 `kernel:"write_seq"`
	SndUna       uint32 `kernel:"snd_una"`
	RcvNxt       uint32 `kernel:"rcv_nxt"`
	CopiedSeq    uint32 `kernel:"copied_seq"`
	SRTT         uint32 `kernel:"srtt_us"`
	MDev         uint32 `kernel:"mdev_us"`
	MinRTT       uint32 `kernel:"rtt_min.s[0].v"`
	RcvRTT       uint32 `kernel:"rcv_rtt_est.rtt_us"`
	MSS          uint32 `kernel:"mss_cache"`
	AdvMSS       uint16 `kernel:"advmss"`
	Cwnd         uint32 `kernel:"snd_cwnd"`
	Ssthresh     uint32 `kernel:"snd_ssthresh"`
	Sent         uint64 `kernel:"bytes_sent"`
	Retrans      uint64 `kernel:"bytes_retrans"`
	Acked        uint64 `kernel:"bytes_acked"`
	Received     uint64 `kernel:"bytes_received"`
	SegsOut      uint32 `kernel:"segs_out"`
	SegsIn       uint32 `kernel:"segs_in"`
	DataOut      uint32 `kernel:"data_segs_out"`
	DataIn       uint32 `kernel:"data_segs_in"`
	LastSnd      uint32 `kernel:"lsndtime"`
	LastAck      uint32 `kernel:"rcv_tstamp"`
	PacketsOut   uint32 `kernel:"packets_out"`
	SackedOut    uint32 `kernel:"sacked_out"`
	LostOut      uint32 `kernel:"lost_out"`
	RetransOut   uint32 `kernel:"retrans_out"`
	TotalRetrans uint32 `kernel:"total_retrans"`
	Reordering   uint32 `kernel:"reordering"`
	Delivered    uint32 `kernel:"delivered"`
	DSACKs       uint32 `kernel:"dsack_dups"`
	Space        int64  `kernel:"rcvq_space.space"`
	RcvSsthresh  uint32 `kernel:"rcv_ssthresh"`
	SndWnd       uint32 `kernel:"snd_wnd"`
	RcvWnd       uint32 `kernel:"rcv_wnd"`
	Pacing       uint64 `kernel:"inet_conn.icsk_inet.sk.sk_pacing_rate"`
	ECN          uint8  `kernel:"ecn_flags"`
	Tstamp       bool   `kernel:"rx_opt.tstamp_ok"`
	SACK         uint8  `kernel:"rx_opt.sack_ok"`
	Wscale       bool   `kernel:"rx_opt.wscale_ok"`
	SndWscale    uint8  `kernel:"rx_opt.snd_wscale"`
	RcvWscale    uint8  `kernel:"rx_opt.rcv_wscale"`
}

type tcpViews struct {
	sock *kstruct.View[tcpSock]
	ca   *kstruct.View[shortName]
	ulp  *kstruct.View[shortName]
	err  error

	hash       *kstruct.Field[uint32]
	info       *kstruct.View[hashInfo]
	listen     *kstruct.View[empty]
	bind       *kstruct.View[empty]
	queue      *kstruct.Field[vmem.VirtAddr]
	listenHead kstruct.Member // in inet_listen_hashbucket
	listenNode kstruct.Member // icsk_listen_portaddr_node
	bindHead   kstruct.Member // in inet_bind_hashbucket
	bindNode   kstruct.Member // in inet_bind_bucket
	owners     kstruct.Member // there as well, until 6.7
	byAddress  kstruct.Member // since 6.8
	bind2Node  kstruct.Member // in inet_bind2_bucket
	owners2    kstruct.Member
	tableErr   error
}

// A shortName is the name in a tcp_congestion_ops or a tcp_ulp_ops.
type shortName struct {
	Name [16]byte `kernel:"name"`
}

// An empty view knows the size of a structure.
type empty struct{}

func bindTCP(types *isf.File) (v tcpViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[tcpSock](b, "tcp_sock")
	v.ca = kstruct.Bind[shortName](b, "tcp_congestion_ops")
	v.ulp = kstruct.BindOptional[shortName](b, "tcp_ulp_ops")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.hash = kstruct.BindField[uint32](b, "sock_common", "skc_hash")
	v.info = kstruct.Bind[hashInfo](b, "inet_hashinfo")
	v.queue = kstruct.BindField[vmem.VirtAddr](b, "inet_connection_sock", "icsk_accept_queue.rskq_accept_head")
	v.listen = kstruct.Bind[empty](b, "inet_listen_hashbucket")
	v.listenHead = kstruct.BindMember(b, "inet_listen_hashbucket", "nulls_head", "head")
	v.listenNode = kstruct.BindOptionalMember(b, "inet_connection_sock", "icsk_listen_portaddr_node")
	v.bind = kstruct.Bind[empty](b, "inet_bind_hashbucket")
	v.bindHead = kstruct.BindMember(b, "inet_bind_hashbucket", "chain")
	v.bindNode = kstruct.BindMember(b, "inet_bind_bucket", "node")
	v.owners = kstruct.BindOptionalMember(b, "inet_bind_bucket", "owners")
	if !v.owners.Ok() {
		v.byAddress = kstruct.BindMember(b, "inet_bind_bucket", "bhash2")
		v.bind2Node = kstruct.BindMember(b, "inet_bind2_bucket", "bhash_node")
		v.owners2 = kstruct.BindMember(b, "inet_bind2_bucket", "owners")
	}
	v.tableErr = b.Err()
	return v
}

// fillTCP sets what a TCP socket has beside others (tcp_diag_get_info of net/ipv4/tcp_diag.c and
// inet_sk_diag_fill of net/ipv4/inet_diag.c).
func (f *finder) fillTCP(s *Socket) {
	t := &f.tcp
	if err := f.v.tcp.sock.Read(f.mem, s.Addr, t); err != nil {
		f.loseAt(tcpTable.object, s.Addr, cause(err, f.v.tcp.err))
		return
	}
	if s.State == Listen {
		s.ReceiveQueue, s.SendQueue = int64(f.rest.Backlog), int64(f.rest.MaxBacklog)
	} else {
		s.ReceiveQueue, s.SendQueue = max(int64(int32(t.RcvNxt-t.CopiedSeq)), 0), int64(t.WriteSeq-t.SndUna)
	}
	s.Timer = f.tcpTimer(t)
	s.TCP = f.tcps.next()
	f.fillInfo(s, t)
	if s.TCP.ULP == "mptcp" && t.ULPData != 0 {
		f.fillSubflow(s, t.ULPData)
	}
}

// The values of icsk_pending (include/net/inet_connection_sock.h).
const (
	pendingRetransmit = 1
	pendingProbe      = 3
	pendingLossProbe  = 5
	pendingReorder    = 6
)

// ackTimer is ICSK_ACK_TIMER.
const ackTimer = 2

func (f *finder) tcpTimer(t *tcpSock) Timer {
	switch t.Pending {
	case pendingRetransmit, pendingLossProbe, pendingReorder:
		return Timer{TimerOn, f.clock.until(t.Timeout), t.Retransmits}
	case pendingProbe:
		return Timer{TimerPersist, f.clock.until(t.Timeout), t.ProbesOut}
	}
	switch {
	case t.Keepalive.Pending != 0:
		return Timer{TimerKeepalive, f.clock.until(t.Keepalive.Expires), t.ProbesOut}
	case t.AckPending&ackTimer != 0 && t.Delack.Pending != 0:
		return Timer{Kind: TimerDelayedAck, Expires: f.clock.until(t.Delack.Expires)}
	}
	return Timer{}
}

// fillInfo follows tcp_get_info of net/ipv4/tcp.c.
func (f *finder) fillInfo(s *Socket, t *tcpSock) {
	i := s.TCP
	i.Congestion = f.nameAt(f.v.tcp.ca, t.CA)
	i.ULP = f.nameAt(f.v.tcp.ulp, t.ULP)
	i.Reordering, i.Window, i.PacingRate = t.Reordering, t.Cwnd, t.Pacing
	i.PMTU, i.SlowStart = t.PMTU, t.Ssthresh
	if s.State == Listen {
		i.FastOpen = t.FastOpen
		return
	}
	i.Timestamps, i.SACK, i.ECN, i.WindowScale = t.Tstamp, t.SACK != 0, t.ECN&ecnModes != 0, t.Wscale
	if t.Wscale {
		i.SendScale, i.ReceiveScale = t.SndWscale, t.RcvWscale
	}
	i.RTO, i.ATO = f.clock.micros(t.RTO), f.clock.micros(t.ATO)
	i.Backoff, i.Retransmits, i.Probes = t.Backoff, t.Retransmits, t.ProbesOut
	i.RTT, i.RTTVar, i.MinRTT, i.ReceiveRTT = t.SRTT>>3, t.MDev>>2, t.MinRTT, t.RcvRTT>>3
	i.MSS, i.ReceiveMSS, i.AdvertisedMSS = t.MSS, uint32(t.RcvMSS), uint32(t.AdvMSS)
	i.BytesSent, i.BytesRetransmitted, i.BytesAcked, i.BytesReceived = t.Sent, t.Retrans, t.Acked, t.Received
	i.SegmentsOut, i.SegmentsIn, i.DataSegmentsOut, i.DataSegmentsIn = t.SegsOut, t.SegsIn, t.DataOut, t.DataIn
	i.LastSent, i.LastReceived, i.LastAck = f.clock.since(t.LastSnd), f.clock.since(t.LastRcv), f.clock.since(t.LastAck)
	i.Unacked, i.Sacked, i.Lost, i.Retransmitting = t.PacketsOut, t.SackedOut, t.LostOut, t.RetransOut
	i.TotalRetransmits, i.Delivered, i.DSACKs = t.TotalRetrans, t.Delivered, t.DSACKs
	i.ReceiveSpace, i.ReceiveThreshold = uint32(t.Space), t.RcvSsthresh
	i.SendWindow, i.ReceiveWindow = t.SndWnd, t.RcvWnd
}

// ecnModes are TCP_ECN_MODE_RFC3168, once TCP_ECN_OK, and TCP_ECN_MODE_ACCECN since 6.18.
const ecnModes = 1 | 1<<4

// nameAt returns the name of the operations at an address.
func (f *finder) nameAt(v *kstruct.View[shortName], at vmem.VirtAddr) string {
	if at == 0 {
		return ""
	}
	name, ok := f.cas[at]
	if !ok {
		n, err := v.Load(f.mem, at)
		if err == nil && !printable(text(n.Name[:])) {
			err = corrupt("name of operations %q", n.Name)
		}
		if err != nil {
			f.loseAt(tcpTable.object, at, err)
		} else {
			name = text(n.Name[:])
		}
		f.cas[at] = name
	}
	return name
}
