package socket

import (
	"encoding/binary"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A crowd is the bundled node with a process that has many sockets more open, all copies of one
// connection with a file, an inode and a descriptor of its own.
type crowd struct {
	*patch
	objects *smeartest.Array
}

// Where the parts of a copy are in it, and how large it is.
const (
	crowdInode = 1024
	crowdSock  = 2048
	crowdSize  = 8192
)

func newCrowd(tb testing.TB, n int) (*crowd, vmem.Memory) {
	tb.Helper()
	c := &crowd{patch: newPatch(tb)}
	s := c.connection()
	v := bind(c.n.symbols)
	space := c.n.k.Space()
	object := make([]byte, crowdSize)
	read := func(b []byte, at vmem.VirtAddr) {
		if _, err := space.ReadVirt(b, at); err != nil {
			tb.Fatal(err)
		}
	}
	rest, err := v.sock.Load(space, s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	alloc := v.inSocket.Container(rest.Socket)
	file := vmem.VirtAddr(c.get(rest.Socket + c.offset("socket", "file")))
	read(object[:crowdInode/2], file)
	read(object[crowdInode:crowdSock], alloc)
	read(object[crowdSock:crowdSize-2048], s.Addr)
	socket := crowdInode + int(v.inSocket.Of(0))
	node := crowdSock + int(v.node.Offset())
	first := s.Addr + vmem.VirtAddr(v.node.Offset())
	self := func(at, to int) smeartest.Link { return smeartest.Link{At: at, To: to} }
	direct := c.direct(s.Addr)
	c.objects = smeartest.NewArray(c.m, direct, object, n,
		self(int(c.offset("file", "f_inode")), crowdInode+int(v.inode.Of(0))),
		self(int(c.offset("file", "private_data")), socket),
		self(socket+int(c.offset("socket", "file")), 0),
		self(socket+int(c.offset("socket", "sk")), crowdSock),
		self(crowdSock+int(c.offset("sock", "sk_socket")), socket),
		smeartest.Link{At: node, Next: 1, To: node, Last: c.get(first)},
		smeartest.Link{At: node + 8, Next: -1, To: node, Last: uint64(first)},
	)
	c.put(first, uint64(c.objects.Object(0))+uint64(node))
	return c, c.openAll(direct, n, s.Owners[0].PID)
}

func (c *crowd) connection() *Socket {
	return one(c.tb, func(s *Socket) bool { return s.State == Established && s.LocalPort == 31337 && len(s.Owners) > 0 })
}

func (c *crowd) offset(typ, member string) vmem.VirtAddr {
	f, err := c.n.symbols.Field(typ, member)
	if err != nil {
		c.tb.Fatal(err)
	}
	return vmem.VirtAddr(f.Offset)
}

// direct returns the virtual address of physical address 0.
func (c *crowd) direct(at vmem.VirtAddr) uint64 {
	m, err := c.n.k.Space().Translate(at)
	if err != nil {
		c.tb.Fatal(err)
	}
	return uint64(at) - uint64(m.At(at))
}

// openAll gives a process a descriptor of each object: a table of pointers, behind it the bitmaps of
// what is open and of what is closed by exec, and what leads to them.
func (c *crowd) openAll(direct uint64, n int, pid int32) vmem.Memory {
	bits := (n + 63) / 64 * 64
	open, last := 8*bits, 8*bits+bits/8
	size := 1 << 12
	for size < last+bits/8+256 {
		size *= 2
	}
	table := make([]byte, size)
	tables := smeartest.NewArray(c.objects, direct, table, 1)
	at := tables.Object(0)
	put := func(member string, to int) {
		binary.LittleEndian.PutUint64(table[size-256+int(c.offset("fdtable", member)):], uint64(at)+uint64(to))
	}
	put("fd", 0)
	put("open_fds", open)
	put("close_on_exec", last)
	binary.LittleEndian.PutUint32(table[size-256+int(c.offset("fdtable", "max_fds")):], uint32(bits))
	for i := range n {
		binary.LittleEndian.PutUint64(table[8*i:], uint64(c.objects.Object(i)))
		table[open+i/8] |= 1 << (i % 8)
	}
	for t, err := range c.n.k.Processes(c.tb.Context()) {
		if err == nil && t.PID == pid {
			files := vmem.VirtAddr(c.get(t.Addr + c.offset("task_struct", "files")))
			c.put(files+c.offset("files_struct", "fdt"), uint64(at)+uint64(size-256))
		}
	}
	return tables
}

func (c *crowd) open(mem vmem.Memory) (*linux.Kernel, *Options) {
	k, err := linux.Open(c.tb.Context(), mem, &linux.Options{Symbols: c.n.symbols})
	if err != nil {
		c.tb.Fatal(err)
	}
	opts := processes(c.tb, k)
	if opts.Modules, err = module.Open(c.tb.Context(), k, nil); err != nil {
		c.tb.Fatal(err)
	}
	return k, opts
}

// All sockets of a process that has thousands are told, each with its owner.
func TestCrowd(t *testing.T) {
	const n = 1000
	c, mem := newCrowd(t, n)
	k, opts := c.open(mem)
	found := map[vmem.VirtAddr]bool{}
	for s, err := range Sockets(t.Context(), k, opts) {
		if err != nil || s.Addr < c.objects.Object(0) || s.Addr > c.objects.Object(n-1)+crowdSize {
			continue
		}
		found[s.Addr] = true
		if len(s.Owners) != 1 || s.Anomalies&^WrongBucket != 0 || s.Sources != InTable|InDescriptors {
			t.Fatalf("%v: %v, %v, %v", s, s.Owners, s.Anomalies, s.Sources)
		}
	}
	if len(found) != n {
		t.Errorf("%d of %d sockets", len(found), n)
	}
}

// BenchmarkCrowd measures 10,000 sockets of one process, which are to take less than 50 ms.
func BenchmarkCrowd(b *testing.B) {
	c, mem := newCrowd(b, 10_000)
	k, opts := c.open(mem)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = 0
		for _, err := range Sockets(b.Context(), k, opts) {
			if err == nil {
				n++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/socket")
	b.ReportMetric(float64(n), "sockets")
}
