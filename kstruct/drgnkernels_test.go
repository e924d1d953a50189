package kstruct_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// madeUpBase is where testdata/kernels/make.py has its memory.
const madeUpBase = vmem.VirtAddr(0xffff888000200000)

// A drgnKernel is a file of testdata/kernels.
type drgnKernel struct {
	Types   json.RawMessage
	Values  map[string]any     // of each structure at madeUpBase
	Offsets map[string]*uint64 // of members; nil for one that the kernel does not have
}

func openDrgnKernel(t *testing.T, path string) (*drgnKernel, *kstruct.Space) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := xz.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	k := new(drgnKernel)
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(k); err != nil {
		t.Fatal(err)
	}
	types, err := isf.Decode(bytes.NewReader(k.Types))
	if err != nil || len(types.Malformed()) > 0 {
		t.Fatal(err, types.Malformed())
	}
	return k, kstruct.NewSpace(madeUpMemory(t), types, 0)
}

// madeUpMemory is the memory of testdata/kernels/make.py.
func madeUpMemory(t *testing.T) *vmem.AddressSpace {
	t.Helper()
	memory := make([]byte, 1<<16)
	for i := range memory {
		memory[i] = byte(i*7 + i/251)
	}
	mem := new(pagetest.Memory)
	tables := pagetest.NewTables(mem, 4, 0x1000)
	tables.Map(madeUpBase, 0x200000, 2, pagetest.Present|pagetest.Write)
	mem.Write(0x200000, memory)
	space, err := x86.NewAddressSpace(vmem.NewPhysical(mem), tables.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return space
}

// eachDrgnKernel runs a test on the oldest kernel that is supported, and on a new one.
func eachDrgnKernel(t *testing.T, run func(*testing.T, *drgnKernel, *kstruct.Space)) {
	files, err := filepath.Glob(filepath.Join("testdata", "kernels", "*.json.xz"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json.xz"), func(t *testing.T) {
			k, space := openDrgnKernel(t, path)
			run(t, k, space)
		})
	}
}

// Every member of some fifty structures has the value that drgn reads.
func TestValuesAsDrgn(t *testing.T) {
	eachDrgnKernel(t, func(t *testing.T, k *drgnKernel, space *kstruct.Space) {
		s := drgnSpace{name: "made-up memory", space: space, types: map[string]bool{}, other: map[string]bool{}}
		for name, want := range k.Values {
			s.bound = append(s.bound, name)
			s.same(t, name, space.Struct(name, madeUpBase), want)
		}
		if s.values < 5000 {
			t.Errorf("no more than %d values", s.values)
		}
	})
}

// at returns the number that drgn has at a path of a structure, and nil where the kernel
// has no such member.
func (k *drgnKernel) at(path string) any {
	var v any = k.Values
	for step := range strings.SplitSeq(strings.NewReplacer("[", ".", "]", "").Replace(path), ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

// Views of every kind of tag and of every Go type that tags can stand for.
type (
	taggedTask struct {
		PID        int32         `kernel:"pid"`
		Wide       int64         `kernel:"pid"`
		State      int64         `kernel:"__state|state"` // since 5.14 (2f064a59a11f)
		Flags      uint32        `kernel:"flags"`
		Comm       [16]byte      `kernel:"comm"`
		Longer     [20]byte      `kernel:"comm"`
		Start      uint64        `kernel:"se.exec_start"`
		Thread     vmem.VirtAddr `kernel:"pid_links[1].next"`
		MM         vmem.VirtAddr `kernel:"mm"`
		Tasks      vmem.VirtAddr `kernel:"&tasks"`
		Self       vmem.VirtAddr `kernel:"&"`
		Links      [4]taggedNode `kernel:"pid_links"`
		More       [6]taggedNode `kernel:"pid_links"`
		Execve     bool          `kernel:"in_execve"`
		ExecveBit  uint8         `kernel:"in_execve"`
		Absent     uint64        `kernel:"nosuch,optional"`
		AbsentLink vmem.VirtAddr `kernel:"&nosuch,optional"`
		Group      taggedNode    `kernel:"thread_node"`
	}
	taggedNode struct {
		Next vmem.VirtAddr `kernel:"next"`
		Prev vmem.VirtAddr `kernel:"pprev|prev"`
	}
	taggedSock struct {
		taggedPorts
		Family    uint16    `kernel:"skc_family"`
		State     uint8     `kernel:"skc_state"`
		Reuse     uint8     `kernel:"skc_reuse"`
		ReusePort bool      `kernel:"skc_reuseport"`
		Hashes    [2]uint16 `kernel:"skc_u16hashes"`
		Address   uint32    `kernel:"skc_daddr,be"`
		Address6  [16]byte  `kernel:"skc_v6_daddr"`
		Words6    [4]uint32 `kernel:"skc_v6_daddr.in6_u.u6_addr32,be"`
		Cookie    int64     `kernel:"skc_cookie.counter,optional"`
	}
	taggedPorts struct {
		Port uint16 `kernel:"skc_dport,be"`
		Num  uint16 `kernel:"skc_num"`
	}
	taggedFiles struct {
		Resizing bool `kernel:"resize_in_progress"`
	}
	taggedMap struct {
		Type uint32 `kernel:"map_type"` // an enumeration
	}
	taggedInode struct {
		Links uint32        `kernel:"i_nlink"` // of an unnamed union
		Pipe  vmem.VirtAddr `kernel:"i_pipe"`
		Size  int64         `kernel:"i_size"`
	}
	taggedMounts struct {
		Root vmem.VirtAddr `kernel:"mounts.rb_node,optional"` // since 6.8 (2eea9ce4310d)
		List vmem.VirtAddr `kernel:"&list,optional"`          // before
	}
)

func loadTagged[T any](t *testing.T, space *kstruct.Space, typ string) T {
	t.Helper()
	b := kstruct.NewBinder(space.Types())
	v := kstruct.Bind[T](b, typ)
	out, err := v.Load(space.Memory(), madeUpBase)
	if b.Err() != nil || err != nil {
		t.Fatal(b.Err(), err)
	}
	return out
}

// Every kind of tag gives what drgn reads.
func TestTagsAsDrgn(t *testing.T) {
	eachDrgnKernel(t, func(t *testing.T, k *drgnKernel, space *kstruct.Space) {
		task := loadTagged[taggedTask](t, space, "task_struct")
		sock := loadTagged[taggedSock](t, space, "sock_common")
		inode := loadTagged[taggedInode](t, space, "inode")
		mounts := loadTagged[taggedMounts](t, space, "mnt_namespace")
		state := k.at("task_struct.__state")
		if state == nil {
			state = k.at("task_struct.state")
		}
		same := func(what string, got, want any) {
			if fmt.Sprint(got) != fmt.Sprint(want) || want == nil {
				t.Errorf("%s: %v, drgn has %v", what, got, want)
			}
		}
		same("an integer", task.PID, k.at("task_struct.pid"))
		same("a wider one", task.Wide, k.at("task_struct.pid"))
		same("alternatives", task.State, state)
		same("unsigned", task.Flags, k.at("task_struct.flags"))
		same("bytes", task.Comm, signed(k.at("task_struct.comm")))
		same("a longer array", task.Longer, append(signed(k.at("task_struct.comm")), 0, 0, 0, 0))
		same("inside of a structure", task.Start, k.at("task_struct.se.exec_start"))
		same("inside of an array", uint64(task.Thread), k.at("task_struct.pid_links[1].next"))
		same("a pointer", uint64(task.MM), k.at("task_struct.mm"))
		same("an address", task.Tasks, madeUpBase+vmem.VirtAddr(*k.Offsets["task_struct.tasks"]))
		same("the structure's own address", task.Self, madeUpBase)
		for i, link := range task.Links {
			same("array of structures", uint64(link.Next), k.at(fmt.Sprintf("task_struct.pid_links[%d].next", i)))
			same("array of structures", uint64(link.Prev), k.at(fmt.Sprintf("task_struct.pid_links[%d].pprev", i)))
			same("longer array of structures", task.More[i], link)
		}
		same("longer array of structures", task.More[4:], [2]taggedNode{})
		same("a bit", task.ExecveBit, k.at("task_struct.in_execve"))
		same("a bit as bool", task.Execve, k.at("task_struct.in_execve").(json.Number) == "1")
		same("optional, absent", task.Absent+uint64(task.AbsentLink), 0)
		same("a structure by alternatives", uint64(task.Group.Prev), k.at("task_struct.thread_node.prev"))

		same("embedded", sock.Num, k.at("sock_common.skc_num"))
		same("big endian", sock.Port>>8|sock.Port<<8, k.at("sock_common.skc_dport"))
		same("16 bits", sock.Family, k.at("sock_common.skc_family"))
		same("volatile", sock.State, k.at("sock_common.skc_state"))
		same("bits", sock.Reuse, k.at("sock_common.skc_reuse"))
		same("bit as bool", sock.ReusePort, k.at("sock_common.skc_reuseport").(json.Number) == "1")
		same("array of integers", sock.Hashes, k.at("sock_common.skc_u16hashes"))
		same("member of an unnamed union", swap32(sock.Address), k.at("sock_common.skc_daddr"))
		same("bytes of a structure", sock.Address6, k.at("sock_common.skc_v6_daddr.in6_u.u6_addr8"))
		for i, w := range sock.Words6 {
			same("big-endian array", swap32(w), k.at(fmt.Sprintf("sock_common.skc_v6_daddr.in6_u.u6_addr32[%d]", i)))
		}
		same("optional, there", sock.Cookie, k.at("sock_common.skc_cookie.counter"))

		same("_Bool", loadTagged[taggedFiles](t, space, "files_struct").Resizing, k.at("files_struct.resize_in_progress"))
		same("enumeration", loadTagged[taggedMap](t, space, "bpf_map").Type, k.at("bpf_map.map_type"))
		same("unnamed union", inode.Links, k.at("inode.i_nlink"))
		same("pointer in an unnamed union", uint64(inode.Pipe), k.at("inode.i_pipe"))
		same("signed, 64 bits", inode.Size, k.at("inode.i_size"))

		if list := k.Offsets["mnt_namespace.list"]; list != nil {
			same("optional address", mounts.List, madeUpBase+vmem.VirtAddr(*list))
			same("not in this kernel", uint64(mounts.Root), 0)
		} else {
			same("not in this kernel", uint64(mounts.List), 0)
			same("optional", uint64(mounts.Root), k.at("mnt_namespace.mounts.rb_node"))
		}
		for path, off := range k.Offsets {
			typ, member, _ := strings.Cut(path, ".")
			m := kstruct.BindOptionalMember(kstruct.NewBinder(space.Types()), typ, member)
			if m.Ok() != (off != nil) || off != nil && m.Offset() != *off {
				t.Errorf("%s at %d, drgn has it at %v", path, m.Offset(), off)
			}
		}
	})
}

// signed returns an array of char, which is signed, as bytes.
func signed(v any) []byte {
	var all []byte
	for _, n := range v.([]any) {
		i, _ := strconv.Atoi(fmt.Sprint(n))
		all = append(all, byte(i))
	}
	return all
}

func swap32(v uint32) uint32 { return v>>24 | v>>8&0xff00 | v<<8&0xff0000 | v<<24 }
