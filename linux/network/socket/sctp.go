package socket

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An Association is a connection of SCTP, of which one socket can have many, and each end many
// addresses: struct sctp_association (include/net/sctp/structs.h). ss shows it below its socket.
type Association struct {
	ID              uint32        `json:"id"`
	State           SCTPState     `json:"state"`
	LocalAddresses  []netip.Addr  `json:"localAddresses"` // in the kernel's order
	LocalPort       uint16        `json:"localPort"`
	RemoteAddresses []netip.Addr  `json:"remoteAddresses"`
	RemotePort      uint16        `json:"remotePort"`
	Primary         netip.Addr    `json:"primaryAddress,omitzero"` // the remote one that packets go to
	Tag             uint32        `json:"tag"`                     // that packets to this end carry
	RemoteTag       uint32        `json:"remoteTag"`
	Window          uint32        `json:"window"` // that the peer was told of, in bytes
	RemoteWindow    uint32        `json:"remoteWindow"`
	InStreams       uint16        `json:"inStreams"`
	OutStreams      uint16        `json:"outStreams"`
	Addr            vmem.VirtAddr `json:"address"`
}

// SCTPState is the state of an association: enum sctp_state of include/net/sctp/constants.h.
type SCTPState uint32

var sctpStates = names{"state of an association", "STATE-", []string{
	"CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTAB", "SHUTDOWN_PENDING", "SHUTDOWN_SENT", "SHUTDOWN_RECEIVED", "ACK_SENT",
}}

// String returns the name that ss has for the state.
func (s SCTPState) String() string { return sctpStates.text(int(s)) }

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s SCTPState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *SCTPState) UnmarshalText(b []byte) error {
	v, err := sctpStates.parse(b, 1<<31-1)
	*s = SCTPState(v)
	return err
}

// An sctpSock is what is read of struct sctp_sock.
type sctpSock struct {
	Endpoint vmem.VirtAddr `kernel:"ep"`
}

// An sctpEndpoint is struct sctp_endpoint: what a socket is to SCTP.
type sctpEndpoint struct {
	Sock  vmem.VirtAddr `kernel:"base.sk"`
	Assoc vmem.VirtAddr `kernel:"&asocs"`
}

// An sctpAssociation is struct sctp_association.
type sctpAssociation struct {
	Endpoint   vmem.VirtAddr `kernel:"ep"`
	Sock       vmem.VirtAddr `kernel:"base.sk"`
	Locals     vmem.VirtAddr `kernel:"&base.bind_addr.address_list"`
	Port       uint16        `kernel:"base.bind_addr.port"`
	ID         int32         `kernel:"assoc_id"`
	State      uint32        `kernel:"state"`
	Tag        uint32        `kernel:"c.my_vtag"`
	PeerTag    uint32        `kernel:"c.peer_vtag"`
	Window     uint32        `kernel:"a_rwnd"`
	Peers      vmem.VirtAddr `kernel:"&peer.transport_addr_list"`
	PeerPort   uint16        `kernel:"peer.port"`
	PeerWindow uint32        `kernel:"peer.rwnd"`
	Primary    [28]byte      `kernel:"peer.primary_addr"`
	In         uint16        `kernel:"stream.incnt"`
	Out        uint16        `kernel:"stream.outcnt"`
}

// An sctpTransport is struct sctp_transport: one address of a peer.
type sctpTransport struct {
	Addr  [28]byte      `kernel:"ipaddr"`
	Assoc vmem.VirtAddr `kernel:"asoc"`
}

// An sctpGlobals is struct sctp_globals: the tables.
type sctpGlobals struct {
	Endpoints  vmem.VirtAddr `kernel:"ep_hashtable"`
	Size       int32         `kernel:"ep_hashsize"`
	Transports vmem.VirtAddr `kernel:"&transport_hashtable"`
}

type sctpViews struct {
	sock      *kstruct.View[sctpSock]
	endpoint  *kstruct.View[sctpEndpoint]
	assoc     *kstruct.View[sctpAssociation]
	transport *kstruct.View[sctpTransport]
	globals   *kstruct.View[sctpGlobals]
	bucket    *kstruct.View[empty]
	chain     kstruct.Member // of sctp_hashbucket
	endNode   kstruct.Member // of sctp_endpoint, before 5.18 of what it begins with
	asNode    kstruct.Member // asocs of sctp_association
	peerNode  kstruct.Member // transports of sctp_transport
	hashNode  kstruct.Member // node of sctp_transport
	addrNode  kstruct.Member // list of sctp_sockaddr_entry
	addr      kstruct.Member // a of it
	bound     bool           // it was looked for
	err       error
}

func bindSCTP(types *isf.File) (v sctpViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[sctpSock](b, "sctp_sock")
	v.endpoint = kstruct.Bind[sctpEndpoint](b, "sctp_endpoint")
	v.assoc = kstruct.Bind[sctpAssociation](b, "sctp_association")
	v.transport = kstruct.Bind[sctpTransport](b, "sctp_transport")
	v.globals = kstruct.Bind[sctpGlobals](b, "sctp_globals")
	v.bucket = kstruct.Bind[empty](b, "sctp_hashbucket")
	v.chain = kstruct.BindMember(b, "sctp_hashbucket", "chain")
	v.endNode = kstruct.BindMember(b, "sctp_endpoint", "node", "base.node")
	v.asNode = kstruct.BindMember(b, "sctp_association", "asocs")
	v.peerNode = kstruct.BindMember(b, "sctp_transport", "transports")
	v.hashNode = kstruct.BindMember(b, "sctp_transport", "node")
	v.addrNode = kstruct.BindMember(b, "sctp_sockaddr_entry", "list")
	v.addr = kstruct.BindMember(b, "sctp_sockaddr_entry", "a")
	v.err = b.Err()
	return v
}

const (
	// sctpModule is what SCTP is in, where it is not in the kernel itself.
	sctpModule = "sctp"
	// maxAssociations bounds what is told of one socket, and maxSCTPAddresses of one end.
	maxAssociations  = 1 << 14
	maxSCTPAddresses = 1 << 10

	associations = "associations of SCTP"
)

var sctpTable = table{object: "SCTP sockets", families: []Family{Inet, Inet6}, protos: []string{"SCTP", "SCTPv6"}}

// sctp returns what SCTP is read with, which is only looked for where there is such a socket: see vsock.
func (f *finder) sctp() *sctpViews {
	v := &f.v.sctp
	if !v.bound {
		types, err := f.typesOf(sctpModule)
		if types == nil {
			types = f.k.Symbols()
		}
		*v = bindSCTP(types)
		if v.err != nil && err != nil {
			v.err = err
		}
		v.bound = true
	}
	return v
}

// walkSCTP adds the sockets of SCTP that listen, and those of all associations: of sctp_globals, which
// is static but in the symbols of the module where the kernel keeps those of data. Where it does not,
// sockets that no process holds are missed, which is a gap.
func (f *finder) walkSCTP() {
	at, ok := f.moduleSymbol(sctpModule, sctpTable.object, "sctp_globals")
	if !ok {
		return
	}
	v := f.sctp()
	if v.err != nil {
		f.lose(sctpTable.object, v.err)
		return
	}
	g, err := v.globals.Load(f.mem, at)
	if err == nil && (g.Size < 0 || g.Size > maxBuckets) {
		err = corrupt("table of %d chains", g.Size)
	}
	if err != nil {
		f.loseAt(sctpTable.object, at, err)
		return
	}
	w := f.walk(sctpTable.object)
	heads := hashTable{at: v.chain.Of(g.Endpoints), n: uint64(g.Size), stride: v.bucket.Size()}
	f.buckets(sctpTable.object, heads, func(_ uint64, head vmem.VirtAddr) {
		for node, err := range w.HList(head) {
			f.addSCTP(node, err, v.endNode, func(at vmem.VirtAddr) (vmem.VirtAddr, error) {
				e, err := v.endpoint.Load(f.mem, at)
				return e.Sock, err
			})
		}
	})
	for node, err := range w.RHashTable(g.Transports) {
		f.addSCTP(node, err, v.hashNode, func(at vmem.VirtAddr) (vmem.VirtAddr, error) {
			t, err := v.transport.Load(f.mem, at)
			if err != nil {
				return 0, err
			}
			a, err := v.assoc.Load(f.mem, t.Assoc)
			return a.Sock, err
		})
	}
}

// addSCTP adds the socket that a node of a table leads to. Several lead to one.
func (f *finder) addSCTP(node vmem.VirtAddr, err error, member kstruct.Member, sock func(vmem.VirtAddr) (vmem.VirtAddr, error)) {
	if err != nil {
		f.lose(sctpTable.object, err)
		return
	}
	at := member.Container(node)
	addr, err := sock(at)
	if err == nil && f.byAddr[addr] == nil {
		_, err = f.add(&sctpTable, addr, InTable)
	}
	if err != nil {
		f.loseAt(sctpTable.object, at, err)
	}
}

// fillSCTP adds the associations of a socket, as sctp_sock_dump of net/sctp/diag.c has them.
func (f *finder) fillSCTP(s *Socket) {
	v := f.sctp()
	if v.err != nil {
		f.loseAt(associations, s.Addr, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, v.err))
		return
	}
	sock, err := v.sock.Load(f.mem, s.Addr)
	if err != nil || sock.Endpoint == 0 {
		if err != nil {
			f.loseAt(associations, s.Addr, err)
		}
		return
	}
	e, err := v.endpoint.Load(f.mem, sock.Endpoint)
	if err == nil && e.Sock != s.Addr {
		err = corrupt("endpoint %v of another socket, %v", sock.Endpoint, e.Sock)
	}
	if err != nil {
		f.loseAt(associations, s.Addr, err)
		return
	}
	for node, err := range f.walk(associations).List(e.Assoc) {
		if err == nil && len(s.Associations) >= maxAssociations {
			f.loseAt(associations, s.Addr, fmt.Errorf("%w: more than %d of one socket", kstruct.ErrTooMany, maxAssociations))
			return
		}
		var a *Association
		if err == nil {
			a, err = f.association(v.asNode.Container(node), sock.Endpoint)
		}
		if err != nil {
			f.loseAt(associations, s.Addr, err)
			continue
		}
		s.Associations = append(s.Associations, a)
	}
}

// association reads the association at an address, which is of an endpoint.
func (f *finder) association(at, endpoint vmem.VirtAddr) (*Association, error) {
	v := f.sctp()
	r, err := v.assoc.Load(f.mem, at)
	if err != nil {
		return nil, err
	}
	if r.Endpoint != endpoint {
		return nil, corrupt("association %v of another endpoint, %v", at, r.Endpoint)
	}
	a := &Association{
		ID: uint32(r.ID), State: SCTPState(r.State), LocalPort: r.Port, RemotePort: r.PeerPort, Tag: r.Tag, RemoteTag: r.PeerTag,
		Window: r.Window, RemoteWindow: r.PeerWindow, InStreams: r.In, OutStreams: r.Out, Addr: at, LocalAddresses: []netip.Addr{}, RemoteAddresses: []netip.Addr{},
	}
	a.Primary, _ = sctpAddress(r.Primary)
	f.sctpAddresses(r.Locals, &a.LocalAddresses, func(node vmem.VirtAddr) (raw [28]byte, err error) {
		_, err = f.mem.ReadVirt(raw[:], v.addr.Of(v.addrNode.Container(node)))
		return raw, err
	})
	f.sctpAddresses(r.Peers, &a.RemoteAddresses, func(node vmem.VirtAddr) ([28]byte, error) {
		t, err := v.transport.Load(f.mem, v.peerNode.Container(node))
		if err == nil && t.Assoc != at {
			err = corrupt("address of another association, %v", t.Assoc)
		}
		return t.Addr, err
	})
	return a, nil
}

// sctpAddresses adds the addresses of one end, which are in a list.
func (f *finder) sctpAddresses(head vmem.VirtAddr, to *[]netip.Addr, read func(vmem.VirtAddr) ([28]byte, error)) {
	const object = "addresses of an association of SCTP"
	for node, err := range f.walk(object).List(head) {
		if err == nil && len(*to) >= maxSCTPAddresses {
			f.loseAt(object, head, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxSCTPAddresses))
			return
		}
		var ip netip.Addr
		if err == nil {
			var raw [28]byte
			if raw, err = read(node); err == nil {
				ip, err = sctpAddress(raw)
			}
		}
		if err != nil {
			f.loseAt(object, head, err)
			continue
		}
		*to = append(*to, ip)
	}
}

// sctpAddress returns the address in a union sctp_addr, a sockaddr of either family.
func sctpAddress(raw [28]byte) (netip.Addr, error) {
	switch family := Family(binary.LittleEndian.Uint16(raw[:])); family {
	case Inet:
		return netip.AddrFrom4([4]byte(raw[4:8])), nil
	case Inet6:
		return netip.AddrFrom16([16]byte(raw[8:24])), nil
	default:
		return netip.Addr{}, corrupt("address of family %v", family)
	}
}
