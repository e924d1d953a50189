package kstruct_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// size returns the size of a type.
func (n *machineNode) size(typ string) vmem.VirtAddr {
	n.t.Helper()
	u, err := n.Types().UserType(typ)
	if err != nil {
		n.t.Fatal(err)
	}
	return vmem.VirtAddr(u.Size)
}

// each calls do with all that a walk yields.
func each[T any](n *machineNode, walk func(func(T, error) bool), do func(T)) (count int) {
	n.t.Helper()
	for v, err := range walk {
		if err != nil {
			n.lost(err)
			continue
		}
		count++
		do(v)
	}
	return count
}

// The mounts of each process are the lines of its mountinfo, and in the tree they are by
// the numbers that mounts have for ever.
func TestMounts(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		tasks, compared := n.tasks(), 0
		for _, p := range n.truth.Processes {
			proxy := uint64(0)
			if task := tasks[p.PID]; task != 0 {
				proxy = n.word(task + n.off("task_struct", "nsproxy"))
			}
			if proxy == 0 { // it ended
				continue
			}
			ns := vmem.VirtAddr(n.word(vmem.VirtAddr(proxy) + n.off("nsproxy", "mnt_ns")))
			var got, want []int
			var unique []uint64
			id := func(m vmem.VirtAddr) {
				got = append(got, int(n.u32(m+n.off("mount", "mnt_id"))))
				if n.Types().HasField("mount", "mnt_id_unique") {
					unique = append(unique, n.word(m+n.off("mount", "mnt_id_unique")))
				}
			}
			w := n.walk()
			if n.Types().HasField("mnt_namespace", "mounts.rb_node") {
				each(n, w.Entries(w.RBTree(ns+n.off("mnt_namespace", "mounts")), "mount", "mnt_node"), id)
				if !slices.IsSorted(unique) {
					t.Errorf("process %d: the tree of mounts is not in order", p.PID)
				}
			} else {
				each(n, w.Entries(w.List(ns+n.off("mnt_namespace", "list")), "mount", "mnt_list"), id)
			}
			for line := range strings.Lines(n.read("pid", strconv.Itoa(int(p.PID)), "mountinfo")) {
				number, _ := strconv.Atoi(strings.Fields(line)[0])
				want = append(want, number)
			}
			// What is outside of its root directory, a process does not see.
			missing := slices.DeleteFunc(want, func(id int) bool { return slices.Contains(got, id) })
			if compared++; len(missing) > 0 {
				n.lost(fmt.Errorf("process %d: %d mounts, without %v", p.PID, len(got), missing))
			}
		}
		if compared < 20 {
			t.Errorf("only %d processes have mounts", compared)
		}
	})
}

// Of each file in memory, the page cache holds as many pages as the inode says.
func TestPageCache(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		w := n.walk()
		files, pages, values, differ := 0, uint64(0), 0, 0
		each(n, w.Entries(w.List(n.symbol("super_blocks")), "super_block", "s_list"), func(sb vmem.VirtAddr) {
			each(n, w.Entries(w.List(sb+n.off("super_block", "s_inodes")), "inode", "i_sb_list"), func(inode vmem.VirtAddr) {
				mapping := inode + n.off("inode", "i_data")
				held := uint64(0)
				each(n, w.XArray(mapping+n.off("address_space", "i_pages")), func(e kstruct.Entry) {
					if e.Kind == kstruct.PointerEntry {
						held += e.Last - e.First + 1
					} else {
						values++
					}
				})
				if held != n.word(mapping+n.off("address_space", "nrpages")) {
					differ++
				}
				files, pages = files+1, pages+held
			})
		})
		t.Logf("%d files, %d pages, %d values, %d files with another count", files, pages, values, differ)
		if files < 1000 || pages < 500 || differ > 0 && !n.smeared {
			t.Fail()
		}
	})
}

// Every module is in the kset of modules.
func TestKset(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		var names []string
		w := n.walk()
		kset := vmem.VirtAddr(n.word(n.symbol("module_kset")))
		each(n, w.Entries(w.List(kset+n.off("kset", "list")), "kobject", "entry"), func(o vmem.VirtAddr) {
			names = append(names, n.text(vmem.VirtAddr(n.word(o+n.off("kobject", "name")))))
		})
		for _, name := range n.modules() {
			if !slices.Contains(names, name) {
				t.Errorf("module %s is not in module_kset", name)
			}
		}
	})
}

// Each dentry is in the bucket of its hash.
func TestDentryCache(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		table, shift := vmem.VirtAddr(n.word(n.symbol("dentry_hashtable"))), n.u32(n.symbol("d_hash_shift"))
		if shift < 8 || shift > 31 {
			t.Skipf("d_hash_shift is %d, which is patched into the code", shift)
		}
		w, count := n.walk(), 0
		for i := range uint64(1) << (32 - shift) {
			count += each(n, w.Entries(w.HListBL(table+vmem.VirtAddr(i)*8), "dentry", "d_hash"), func(d vmem.VirtAddr) {
				if hash := n.u32(d + n.off("dentry", "d_name.hash")); uint64(hash>>shift) != i {
					n.lost(fmt.Errorf("dentry %v with hash %#x is in bucket %#x", d, hash, i))
				}
			})
		}
		total := n.sysctl("fs.dentry-state") // some time before
		if t.Logf("%d dentries in the hash table of %d", count, total); count < total/4 || count > 4*total {
			t.Fail()
		}
	})
}

// sysctl returns the first number that a sysctl had.
func (n *machineNode) sysctl(name string) int {
	n.t.Helper()
	if _, err := os.Stat(filepath.Join(n.dir, "sysctl")); err != nil {
		n.t.Skip("the truth has no sysctls")
	}
	for line := range strings.Lines(n.read("sysctl")) {
		if rest, ok := strings.CutPrefix(line, name+" = "); ok {
			v, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				n.t.Fatal(err)
			}
			return v
		}
	}
	n.t.Fatalf("no sysctl %s", name)
	return 0
}

// Each PID points to its task by an hlist, and the inodes are in the buckets of theirs.
func TestPIDTasks(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		w := n.walk()
		for pid, task := range n.tasks() {
			owner := vmem.VirtAddr(n.word(task + n.off("task_struct", "thread_pid")))
			if owner == 0 {
				continue
			}
			var got []vmem.VirtAddr
			each(n, w.Entries(w.HList(owner+n.off("pid", "tasks[0]")), "task_struct", "pid_links[0]"), func(a vmem.VirtAddr) { got = append(got, a) })
			if !slices.Equal(got, []vmem.VirtAddr{task}) {
				n.lost(fmt.Errorf("PID %d leads to %v, not to %v", pid, got, task))
			}
		}
	})
}

// Each socket is in the chain of its bucket, which ends with the bucket's number.
func TestTCP(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		info := n.symbol("tcp_hashinfo")
		table := vmem.VirtAddr(n.word(info + n.off("inet_hashinfo", "ehash")))
		mask := uint64(n.u32(info + n.off("inet_hashinfo", "ehash_mask")))
		var ports []int
		w := n.walk()
		for i := range mask + 1 {
			head := table + vmem.VirtAddr(i)*n.size("inet_ehash_bucket")
			each(n, w.Entries(w.HListNulls(head, i), "sock_common", "skc_nulls_node"), func(s vmem.VirtAddr) {
				if hash := n.u32(s + n.off("sock_common", "skc_hash")); uint64(hash)&mask != i {
					t.Errorf("socket %v with hash %#x is in bucket %#x", s, hash, i)
				}
				ports = append(ports, int(uint16(n.word(s+n.off("sock_common", "skc_num")))))
			})
		}
		var want []int
		files, err := filepath.Glob(filepath.Join(n.dir, "pid", "*", "net_tcp"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			rel, _ := filepath.Rel(n.dir, name)
			for line := range strings.Lines(n.read(rel)) {
				f := strings.Fields(line)
				if f[0] == "sl" || f[3] != "01" { // established
					continue
				}
				port, _ := strconv.ParseInt(f[1][9:], 16, 32)
				want = append(want, int(port))
			}
		}
		slices.Sort(want)
		want = slices.Compact(want)
		t.Log("ports of established sockets:", want, ports)
		for _, port := range want {
			if !slices.Contains(ports, port) && !n.smeared {
				t.Errorf("established socket of port %d is not in the hash table", port)
			}
		}
	})
}

// The netlink sockets of all protocols are in rhashtables.
func TestNetlink(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		tables := vmem.VirtAddr(n.word(n.symbol("nl_table")))
		w, count := n.walk(), 0
		for protocol := range vmem.VirtAddr(32) { // MAX_LINKS
			table := tables + protocol*n.size("netlink_table")
			if n.word(table) == 0 {
				continue
			}
			count += each(n, w.Entries(w.RHashTable(table+n.off("netlink_table", "hash")), "netlink_sock", "node"), func(s vmem.VirtAddr) {
				sock := s + n.off("netlink_sock", "sk")
				if got := n.word(sock+n.off("sock", "sk_protocol")) & 0xffff; got&0xff != uint64(protocol) {
					t.Errorf("socket %v of protocol %d is in the table of %d", s, got&0xff, protocol)
				}
			})
		}
		if t.Log(count, "netlink sockets"); count < 5 {
			t.Fail()
		}
	})
}

// Each CPU's copy of what says which CPU it is says so.
func TestCPUs(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		cpus, err := n.CPUs()
		if err != nil || len(cpus) == 0 {
			t.Fatal(cpus, err)
		}
		online := strings.Count(n.read("dmesg"), "smpboot: CPU") // informative only
		t.Log("CPUs", cpus, online)
		for _, cpu := range cpus {
			rq, typ, err := n.PerCPU("runqueues", cpu)
			if err != nil {
				t.Fatal(err)
			}
			if typ != nil && typ.Name != "rq" {
				t.Errorf("runqueues are %v", typ)
			}
			if got := n.u32(rq + n.off("rq", "cpu")); int(got) != cpu {
				t.Errorf("the run queue of CPU %d is that of %d", cpu, got)
			}
			// Which task runs there, says the task too.
			curr := vmem.VirtAddr(n.word(rq + n.off("rq", "curr")))
			field := "cpu"
			if !n.Types().HasField("task_struct", field) {
				field = "thread_info.cpu" // since 5.16 (bcf9033e5449)
			}
			if got := n.u32(curr + n.off("task_struct", field)); int(got) != cpu {
				n.lost(fmt.Errorf("the task of CPU %d runs on %d", cpu, got))
			}
			// What the exported variable says is independent of the table of offsets.
			if a, _, err := n.PerCPU("this_cpu_off", cpu); err == nil {
				if want, err := n.PerCPUPtr(0, cpu); err != nil || n.word(a) != uint64(want) {
					t.Errorf("this_cpu_off of CPU %d is %#x, not %v (%v)", cpu, n.word(a), want, err)
				}
			}
		}
	})
}

// The counters of open files and of memory promised are what /proc said shortly before.
func TestCounters(t *testing.T) {
	eachNode(t, func(t *testing.T, n *machineNode) {
		files, err := n.Counter(n.symbol("nr_files"))
		if err != nil {
			t.Fatal(err)
		}
		if want := n.sysctl("fs.file-nr"); math.Abs(float64(files)-float64(want)) > float64(want)/5 {
			t.Errorf("%d files are open, /proc said %d", files, want)
		}
		committed, err := n.Counter(n.symbol("vm_committed_as"))
		if err != nil {
			t.Fatal(err)
		}
		if want := n.meminfo("Committed_AS"); math.Abs(float64(committed*4)-float64(want)) > float64(want)/5 {
			t.Errorf("%d KiB are promised, /proc said %d", committed*4, want)
		}
		t.Log(files, "files,", committed, "pages")
	})
}

// meminfo returns a line of /proc/meminfo in KiB.
func (n *machineNode) meminfo(name string) int {
	n.t.Helper()
	for line := range strings.Lines(n.read("proc", "meminfo")) {
		if f := strings.Fields(line); f[0] == name+":" {
			v, _ := strconv.Atoi(f[1])
			return v
		}
	}
	n.t.Fatalf("no %s in meminfo", name)
	return 0
}
