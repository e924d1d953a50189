package module

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A vsockSock is struct vsock_sock (include/net/af_vsock.h), a type of module vsock.
type vsockSock struct {
	Transport vmem.VirtAddr `kernel:"transport"`
	Family    uint16        `kernel:"sk.__sk_common.skc_family"`
	LocalCID  uint32        `kernel:"local_addr.svm_cid"`
}

// TestTypesOfModules binds a view to a type of a module, whose members are of types of the
// kernel, both with the kernel's own symbols and with those of a vmlinux.
func TestTypesOfModules(t *testing.T) {
	n := nodes.Bundled(t)
	symbols, err := isf.Open(n.ISF)
	if err != nil {
		t.Fatal(err)
	}
	for name, symbols := range map[string]*isf.File{"image": n.K.Symbols(), "vmlinux": symbols} {
		t.Run(name, func(t *testing.T) {
			k, err := linux.Open(t.Context(), n.Mem, &linux.Options{Symbols: symbols})
			if err != nil {
				t.Fatal(err)
			}
			set, err := Open(t.Context(), k, nil)
			if err != nil {
				t.Fatal(err)
			}
			f, err := set.Types("vsock")
			if err != nil {
				t.Fatal(err)
			}
			b := kstruct.NewBinder(f)
			view := kstruct.Bind[vsockSock](b, "vsock_sock")
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
			if u, err := f.UserType("vsock_sock"); err != nil || view.Size() != u.Size || u.Size == 0 {
				t.Errorf("%d bytes, %v", view.Size(), err)
			}
			if _, err := k.Symbols().UserType("vsock_sock"); !errors.Is(err, isf.ErrNotFound) {
				t.Errorf("the kernel itself has struct vsock_sock: %v", err)
			}
			if _, err := f.UserType("task_struct"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEveryModuleHasTypes converts the types of all modules. Each has some of its own: this_module
// is in every one, but for those that consist of nothing but code.
func TestEveryModuleHasTypes(t *testing.T) { eachNode(t, testEveryModuleHasTypes) }

func testEveryModuleHasTypes(t *testing.T, n *node) {
	if n.set.views.btf.err != nil {
		if len(n.standIns(t)) > 0 {
			t.Skip("it has not the modules of the network")
		}
		testLayout(t, n)
		return
	}
	own := 0
	for _, m := range n.set.Modules() {
		if n.standIns(t)[m.Name] != "" { // built without types
			own++
			continue
		}
		f, err := n.set.Types(m.Name)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if f.Under() != n.K.Symbols() {
			t.Errorf("%s: the kernel's types were converted anew", m.Name)
		}
		if len(f.Lost()) != len(n.K.Symbols().Lost()) {
			t.Errorf("%s: lost %v", m.Name, f.Lost())
		}
		list, err := n.set.btf()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := list.of[m.Address]; ok {
			own++
		}
	}
	if own != len(n.set.Modules()) {
		t.Errorf("%d of %d modules have types", own, len(n.set.Modules()))
	}
}

// TestSpace reads a list whose head is a static variable of a module, and what is built in by the
// same calls.
func TestSpace(t *testing.T) {
	n := nodes.Bundled(t)
	space, err := n.set.Space("vsock")
	if err != nil {
		t.Fatal(err)
	}
	at, err := n.set.Symbol("vsock", "vsock_proto")
	if err != nil {
		t.Fatal(err)
	}
	if name, err := space.Struct("proto", at).At("name").CString(); err != nil || name != "AF_VSOCK" {
		t.Errorf("vsock_proto is called %q, %v", name, err)
	}
	if linked, _, err := space.Symbol("vsock_proto"); err != nil || linked != at {
		t.Errorf("the space has vsock_proto at %v, %v; not at %v", linked, err, at)
	}
	if _, err := n.set.Symbol("vsock", "init_task"); !errors.Is(err, isf.ErrNotFound) {
		t.Errorf("init_task in vsock: %v", err)
	}
	built, err := n.set.Space("no_such_module")
	if err != nil || built != n.K.Objects() {
		t.Errorf("built in: %v", err)
	}
	want, err := n.K.Symbol("tcp_prot")
	if got, err2 := n.set.Symbol("no_such_module", "tcp_prot"); err != nil || err2 != nil || got != want {
		t.Errorf("tcp_prot at %v, %v, %v; not at %v", got, err, err2, want)
	}
}

// testLayout reads what modules without types of their own have by a layout of them.
func testLayout(t *testing.T, n *node) {
	f, err := n.set.Types("nf_conntrack")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"tuplehash[1].tuple.dst.protonum", "ct_general", "status", "mark", "proto.tcp.state"} {
		if !f.HasField("nf_conn", path) {
			t.Errorf("no nf_conn.%s", path)
		}
	}
	for _, name := range []string{"nft_chain", "veth_priv", "vsock_sock", "sctp_sock", "net_bridge_port"} {
		if u, err := f.UserType(name); err != nil || len(u.Fields) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty, err := layouts.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open(t.Context(), n.K, &Options{Layouts: layouts.Join(empty)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Types("nf_conntrack"); !errors.Is(err, kstruct.ErrUnsupported) {
		t.Errorf("without a layout: %v", err)
	}
}
