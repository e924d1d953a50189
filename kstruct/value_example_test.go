package kstruct_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/kstruct"
)

// Objects by the name of their symbol, with members by name: what the machine calls itself,
// and the modules on the kernel's list. Errors stick, so that the last step of each way
// tells the first one that went wrong.
func Example() {
	ctx := context.Background()
	img, err := image.Open(ctx, "../lab/node/node.lime.lz4", nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := image.OpenKernel(ctx, img, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(kernel.Object("init_uts_ns").At("name.nodename"))
	walk := kernel.Objects().Walk(ctx, nil)
	for module, err := range kernel.Object("modules").List(walk, "struct module", "list") {
		if err != nil {
			fmt.Println("lost:", err) // the walk goes on
			continue
		}
		name, err := module.At("name").CString()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(name, " ")
	}
	// Output:
	// (char [65])"gke-prod-default-pool-6f3c2a91-v4kd"
	// vsock_loopback vmw_vsock_virtio_transport_common vmw_vsock_vmci_transport vsock vmw_vmci veth overlay fuse loop efi_pstore dm_mod configfs qemu_fw_cfg ip_tables x_tables autofs4
}

// Which sockets does a process have, and where do they lead? From struct file over struct
// socket to the socket of its protocol.
func ExampleSpace_Struct_sockets() {
	img, err := image.Open(context.Background(), "../lab/node/node.lime.lz4", nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := image.OpenKernel(context.Background(), img, nil)
	if err != nil {
		log.Fatal(err)
	}
	for task, err := range kernel.Processes(context.Background()) {
		if err != nil || task.Comm != "dbus-daemon" && task.Comm != "kworker/u4:2" { // for a short list
			continue
		}
		for fd, err := range task.Files(context.Background()) {
			sk := kernel.Struct("file", fd.Addr).At("private_data").CastPointer("struct socket").At("->sk").Deref()
			switch family, _ := sk.At("__sk_common.skc_family").Uint(); {
			case err != nil || !strings.HasPrefix(fd.Path, "socket:"):
			case family == 1: // AF_UNIX
				path, _ := sk.Cast("struct unix_sock").At("addr->name[0].sun_path").CString() // none if it has no name
				fmt.Printf("%s fd %d unix %q\n", task.Comm, fd.FD, path)
			case family == 2: // AF_INET
				ip, err := sk.At("__sk_common.skc_rcv_saddr").Bytes()
				fmt.Println(task.Comm, "fd", fd.FD, net.IP(ip), sk.At("__sk_common.skc_num"), err)
			}
		}
	}
	// Output:
	// dbus-daemon fd 1 unix ""
	// dbus-daemon fd 2 unix ""
	// dbus-daemon fd 3 unix "/run/dbus/system_bus_socket"
	// dbus-daemon fd 7 unix ""
	// dbus-daemon fd 8 unix ""
	// dbus-daemon fd 9 unix "/run/dbus/system_bus_socket"
	// dbus-daemon fd 10 unix "/run/dbus/system_bus_socket"
	// kworker/u4:2 fd 5 0.0.0.0 (unsigned short)31337 <nil>
	// kworker/u4:2 fd 6 127.0.0.1 (unsigned short)53250 <nil>
	// kworker/u4:2 fd 7 127.0.0.1 (unsigned short)31337 <nil>
}

// What a process has at the beginning of its heap: the Space of its memory has the same
// types.
func ExampleSpace_In() {
	ctx := context.Background()
	img, err := image.Open(ctx, "../lab/node/node.lime.lz4", nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := image.OpenKernel(ctx, img, nil)
	if err != nil {
		log.Fatal(err)
	}
	for task, err := range kernel.Processes(ctx) {
		if err != nil || task.Comm != "containerd" {
			continue
		}
		mm, err := task.MM()
		if err != nil {
			log.Fatal(err)
		}
		user := kernel.Objects().In(mm.Space())
		fmt.Println(user.Struct("unsigned long [8]", mm.StartBrk)) // 64 bytes
	}
	// Output: (unsigned long [8]){ 0, 657, 4294967296 }
}

// A whole object, as drgn prints it, without types and with zeros left out.
func ExamplePrinter() {
	ctx := context.Background()
	img, err := image.Open(ctx, "../lab/node/node.lime.lz4", nil)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := image.OpenKernel(ctx, img, nil)
	if err != nil {
		log.Fatal(err)
	}
	p := &kstruct.Printer{OmitTypes: true, OmitZeros: true}
	if err := p.Print(os.Stdout, kernel.Object("init_task").At("real_cred").Deref()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {
	// 	.usage = {
	// 		.counter = 4,
	// 	},
	// 	.cap_permitted = {
	// 		.cap = { 4294967295, 511 },
	// 	},
	// 	.cap_effective = {
	// 		.cap = { 4294967295, 511 },
	// 	},
	// 	.cap_bset = {
	// 		.cap = { 4294967295, 511 },
	// 	},
	// 	.security = 0xffff8a0b81046080,
	// 	.user = root_user+0x0 = 0xffffffff9d251940,
	// 	.user_ns = init_user_ns+0x0 = 0xffffffff9d2519e0,
	// 	.ucounts = init_ucounts+0x0 = 0xffffffff9d25a4c0,
	// 	.group_info = init_groups+0x0 = 0xffffffff9d259a50,
	// }
}
