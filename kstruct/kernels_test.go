package kstruct

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A member is where a kernel has something, worked out by hand from its symbol file.
type member struct {
	offset, size uint64 // in bytes
	bit, bits    uint   // of a bit field
}

// kernelMembers are the members that the views of TestKernels read, kernel by kernel.
type kernelMembers struct {
	pid, comm, state, hot, execve, start, tgidNext, mm, exit member
	tasks                                                    member
	level, nr, ns                                            member // of struct pid
	port, reuse, reuseport                                   member // of struct sock_common
	addr6                                                    member
	mounts                                                   member // of struct mnt_namespace
	list                                                     member
	desc                                                     member // of struct worker
}

var members6_1 = kernelMembers{
	pid: member{2416, 4, 0, 0}, comm: member{2976, 16, 0, 0}, state: member{24, 4, 0, 0}, hot: member{2340, 4, 3, 1},
	execve: member{2344, 4, 2, 1}, start: member{192, 8, 0, 0}, tgidNext: member{2544, 8, 0, 0}, mm: member{2272, 8, 0, 0},
	exit: member{2308, 4, 0, 0}, tasks: member{2192, 16, 0, 0},
	level: member{4, 4, 0, 0}, nr: member{96, 4, 0, 0}, ns: member{96 + 8, 8, 0, 0},
	port: member{12, 2, 0, 0}, reuse: member{19, 1, 0, 4}, reuseport: member{19, 1, 4, 1}, addr6: member{56, 16, 0, 0},
	list: member{32, 16, 0, 0}, desc: member{116, 24, 0, 0},
}

var members6_12 = kernelMembers{
	pid: member{2432, 4, 0, 0}, comm: member{2976, 16, 0, 0}, state: member{24, 4, 0, 0}, hot: member{2356, 4, 3, 1},
	execve: member{2360, 4, 3, 1}, start: member{216, 8, 0, 0}, tgidNext: member{2560, 8, 0, 0}, mm: member{2304, 8, 0, 0},
	exit: member{2328, 4, 0, 0}, tasks: member{2224, 16, 0, 0},
	level: member{4, 4, 0, 0}, nr: member{112, 4, 0, 0}, ns: member{112 + 8, 8, 0, 0},
	port: member{12, 2, 0, 0}, reuse: member{19, 1, 0, 4}, reuseport: member{19, 1, 4, 1}, addr6: member{56, 16, 0, 0},
	mounts: member{32, 8, 0, 0}, desc: member{128, 32, 0, 0},
}

var members5_10 = kernelMembers{
	pid: member{2232, 4, 0, 0}, comm: member{2736, 16, 0, 0}, state: member{16, 8, 0, 0},
	execve: member{2168, 4, 1, 1}, start: member{192, 8, 0, 0}, tgidNext: member{2360, 8, 0, 0}, mm: member{2056, 8, 0, 0},
	exit: member{2132, 4, 0, 0}, tasks: member{1976, 16, 0, 0},
	level: member{4, 4, 0, 0}, nr: member{96, 4, 0, 0}, ns: member{96 + 8, 8, 0, 0},
	port: member{12, 2, 0, 0}, reuse: member{19, 1, 0, 4}, reuseport: member{19, 1, 4, 1}, addr6: member{56, 16, 0, 0},
	list: member{40, 16, 0, 0}, desc: member{108, 24, 0, 0},
}

var members7_2 = kernelMembers{
	pid: member{2808, 4, 0, 0}, comm: member{3344, 16, 0, 0}, state: member{24, 4, 0, 0}, hot: member{2732, 4, 3, 1},
	execve: member{2736, 4, 2, 1}, start: member{224, 8, 0, 0}, tgidNext: member{2936, 8, 0, 0}, mm: member{2680, 8, 0, 0},
	exit: member{2704, 4, 0, 0}, tasks: member{2600, 16, 0, 0},
	level: member{4, 4, 0, 0}, nr: member{128, 4, 0, 0}, ns: member{128 + 8, 8, 0, 0},
	port: member{12, 2, 0, 0}, reuse: member{19, 1, 0, 4}, reuseport: member{19, 1, 4, 1}, addr6: member{56, 16, 0, 0},
	mounts: member{264, 8, 0, 0}, desc: member{136, 32, 0, 0},
}

type (
	kernelTask struct {
		PID    int32         `kernel:"pid"`
		Comm   [16]byte      `kernel:"comm"`
		State  int64         `kernel:"__state|state"` // since 5.14 (2f064a59a11f)
		Hot    bool          `kernel:"sched_task_hot,optional"`
		Execve bool          `kernel:"in_execve"`
		Start  uint64        `kernel:"se.exec_start"`
		TGID   vmem.VirtAddr `kernel:"pid_links[1].next"`
		MM     vmem.VirtAddr `kernel:"mm"`
		Exit   int32         `kernel:"exit_state"`
		Tasks  vmem.VirtAddr `kernel:"&tasks"`
	}
	kernelPID struct {
		Level   uint32        `kernel:"level"`
		First   upid          `kernel:"numbers[0]"`
		Numbers vmem.VirtAddr `kernel:"&numbers"`
	}
	upid struct {
		NR int32         `kernel:"nr"`
		NS vmem.VirtAddr `kernel:"ns"`
	}
	kernelSock struct {
		Port      uint16   `kernel:"skc_dport,be"`
		Reuse     uint8    `kernel:"skc_reuse"`
		ReusePort bool     `kernel:"skc_reuseport"`
		Addr6     [16]byte `kernel:"skc_v6_daddr"`
	}
	kernelMounts struct {
		Root vmem.VirtAddr `kernel:"mounts.rb_node,optional"` // since 6.8 (2eea9ce4310d)
		List vmem.VirtAddr `kernel:"&list,optional"`          // before
	}
	kernelWorker struct {
		Desc [32]byte `kernel:"desc"` // of 24 bytes before 6.10
	}
)

// pattern is memory of which no two words are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/251)
	}
	return b
}

// number returns the number that a member at base holds in the pattern.
func (m member) number(p []byte) uint64 {
	var b [8]byte
	copy(b[:], p[m.offset:m.offset+m.size])
	v := binary.LittleEndian.Uint64(b[:])
	if m.bits > 0 {
		return v >> m.bit & (1<<m.bits - 1)
	}
	return v
}

func (m member) bytes(p []byte) []byte { return p[m.offset : m.offset+m.size] }

func TestKernels(t *testing.T) {
	files := testimages.SymbolFiles(t)
	for version, want := range map[string]kernelMembers{"5.10.": members5_10, "6.1.0-56": members6_1, "6.12.107": members6_12, "7.2.": members7_2} {
		t.Run(version, func(t *testing.T) {
			found := false
			for release, path := range files {
				if strings.HasPrefix(release, version) {
					found = true
					checkKernel(t, path, want)
				}
			}
			if !found {
				t.Skip("no symbols of such a kernel here")
			}
		})
	}
}

// readAs binds a view of T by its own Binder and reads it from base.
func readAs[T any](t *testing.T, types *isf.File, as *vmem.AddressSpace, typ string) T {
	t.Helper()
	b := NewBinder(types)
	v := Bind[T](b, typ)
	out, err := v.Load(as, base)
	if b.Err() != nil || err != nil {
		t.Fatalf("%s: %v, %v", typ, b.Err(), err)
	}
	return out
}

func checkKernel(t *testing.T, isfName string, m kernelMembers) {
	types, err := openTypes(isfName)
	if err != nil {
		t.Fatal(err)
	}
	p := pattern(2 * vmem.PageSize)
	if m.hot.size == 0 && types.HasField("task_struct", "sched_task_hot") {
		t.Error("the kernel has a member that was not expected")
	}
	as := newMemory(t, map[uint64][]byte{0: p})
	check := func(want, got any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%T (-want +got):\n%s", got, d)
		}
	}
	check(kernelTask{
		PID: int32(m.pid.number(p)), Comm: [16]byte(m.comm.bytes(p)), State: int64(m.state.number(p)),
		Hot: m.hot.number(p) == 1, Execve: m.execve.number(p) == 1, Start: m.start.number(p),
		TGID: vmem.VirtAddr(m.tgidNext.number(p)), MM: vmem.VirtAddr(m.mm.number(p)), Exit: int32(m.exit.number(p)),
		Tasks: base + vmem.VirtAddr(m.tasks.offset),
	}, readAs[kernelTask](t, types, as, "task_struct"))
	check(kernelPID{
		Level: uint32(m.level.number(p)), First: upid{int32(m.nr.number(p)), vmem.VirtAddr(m.ns.number(p))},
		Numbers: base + vmem.VirtAddr(m.nr.offset),
	}, readAs[kernelPID](t, types, as, "pid"))
	check(kernelSock{
		Port: uint16(p[m.port.offset])<<8 | uint16(p[m.port.offset+1]), Reuse: uint8(m.reuse.number(p)),
		ReusePort: m.reuseport.number(p) == 1, Addr6: [16]byte(m.addr6.bytes(p)),
	}, readAs[kernelSock](t, types, as, "sock_common"))
	var mounts kernelMounts
	if m.mounts.size > 0 {
		mounts.Root = vmem.VirtAddr(m.mounts.number(p))
	} else {
		mounts.List = base + vmem.VirtAddr(m.list.offset)
	}
	check(mounts, readAs[kernelMounts](t, types, as, "mnt_namespace"))
	var worker kernelWorker
	copy(worker.Desc[:], m.desc.bytes(p))
	check(worker, readAs[kernelWorker](t, types, as, "worker"))
}

// A per-CPU variable has no address of its own.
func TestSymbolPerCPU(t *testing.T) {
	bundled, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	types, err := openTypes(bundled.ISF)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSpace(newMemory(t, nil), types, 0x1000000)
	if a, _, err := s.Symbol("runqueues"); a != 0 || !errors.Is(err, ErrPerCPU) {
		t.Errorf("got %v, %v", a, err)
	}
	link, err := types.Symbol("init_task")
	if err != nil {
		t.Fatal(err)
	}
	if a, _, err := s.Symbol("init_task"); a != vmem.VirtAddr(link.Address+0x1000000) || err != nil {
		t.Errorf("got %v, %v", a, err)
	}
	if _, _, err := s.Symbol("no_such_symbol"); !errors.Is(err, isf.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// openedTypes are the databases that were opened, by path.
var openedTypes sync.Map

// openTypes opens a database once for all tests.
func openTypes(path string) (*isf.File, error) {
	open, _ := openedTypes.LoadOrStore(path, sync.OnceValues(func() (*isf.File, error) { return isf.Open(path) }))
	return open.(func() (*isf.File, error))()
}
