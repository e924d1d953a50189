package integrity

import (
	"cmp"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
)

// registries are the variables that lead to objects with functions of their own.
var registries = [...]registry{
	{
		table: "tty_ldiscs", variable: "tty_ldiscs", functions: []string{"tty_register_ldisc", "tty_unregister_ldisc"},
		count: 31, typ: "tty_ldisc_ops", labels: []string{"name"},
	},
	{
		table: "tty", variable: "tty_drivers", functions: []string{"tty_register_driver", "tty_unregister_driver"},
		typ: "tty_driver", links: []string{"tty_drivers"}, labels: []string{"driver_name", "name"}, follow: []string{"ops"}, more: readTTYs,
	},
	{
		table: "console", variable: "console_list", older: "console_drivers", functions: []string{"register_console", "unregister_console", "console_unblank"},
		typ: "console", links: []string{"node", "next"}, labels: []string{"name"},
	},
	{
		table: "input", variable: "input_handler_list", functions: []string{"input_register_handler"},
		typ: "input_handler", links: []string{"node"}, labels: []string{"name"},
	},
	{
		table: "input_devices", variable: "input_dev_list", functions: []string{"input_register_device", "input_register_handler"},
		typ: "input_dev", links: []string{"node"}, labels: []string{"name"},
	},
	{
		table: "protocols", variable: "proto_list", functions: []string{"proto_register", "proto_unregister"},
		typ: "proto", links: []string{"node"}, labels: []string{"name"}, follow: []string{"rsk_prot", "twsk_prot"},
	},
	{
		table: "net_families", variable: "net_families", functions: []string{"sock_register", "sock_unregister"},
		count: 46, typ: "net_proto_family",
	},
	{
		table: "inetsw", variable: "inetsw", functions: []string{"inet_register_protosw", "inet_unregister_protosw"},
		count: 11, typ: "inet_protosw", links: []string{"list"}, labels: []string{"prot->name"}, follow: []string{"ops"},
	},
	{
		table: "inetsw6", variable: "inetsw6", functions: []string{"inet6_register_protosw", "inet6_unregister_protosw"},
		count: 11, typ: "inet_protosw", links: []string{"list"}, labels: []string{"prot->name"}, follow: []string{"ops"},
	},
	{table: "inet_protos", variable: "inet_protos", functions: []string{"inet_add_protocol"}, count: 256, typ: "net_protocol"},
	{table: "inet6_protos", variable: "inet6_protos", functions: []string{"inet6_add_protocol"}, count: 256, typ: "inet6_protocol"},
	{table: "inet_offloads", variable: "inet_offloads", functions: []string{"inet_add_offload"}, count: 256, typ: "net_offload"},
	{table: "inet6_offloads", variable: "inet6_offloads", functions: []string{"inet6_add_offload"}, count: 256, typ: "net_offload"},
	{
		table: "filesystems", variable: "file_systems", functions: []string{"register_filesystem", "unregister_filesystem"},
		typ: "file_system_type", links: []string{"list", "next"}, labels: []string{"name"},
	},
	{
		table: "superblocks", variable: "super_blocks", functions: []string{"iterate_supers", "user_get_super"},
		typ: "super_block", links: []string{"s_list"}, labels: []string{"s_type->name"},
		follow: []string{"s_op", "s_d_op", "__s_d_op", "s_export_op", "s_root->d_op", "s_root->d_inode->i_op", "s_root->d_inode->i_fop"},
		owner:  "s_type->owner",
	},
	{
		table: "binfmt", variable: "formats", functions: []string{"__register_binfmt", "unregister_binfmt"},
		typ: "linux_binfmt", links: []string{"lh"}, labels: []string{},
	},
	{
		table: "softirq", variable: "softirq_vec", functions: []string{"open_softirq"},
		count: 10, inline: true, typ: "softirq_action",
	},
	{
		table: "sysrq", variable: "sysrq_key_table", functions: []string{"__handle_sysrq", "register_sysrq_key"},
		count: 62, typ: "sysrq_key_op",
	},
	{
		table: "pmu", variable: "pmus", functions: []string{"perf_pmu_register"},
		typ: "pmu", links: []string{"entry"}, labels: []string{"name"},
	},
}

// readRegistries yields what the objects of all registries call.
func readRegistries(r *reader) {
	for i := range registries {
		r.readRegistry(&registries[i])
		if r.over {
			return
		}
	}
}

// maxTTYs is how many terminals of a driver are read.
const maxTTYs = 4096

// readTTYs yields what the open terminals of a driver call: their line discipline, which sees what is typed, and their port.
func readTTYs(r *reader, entry string, driver kstruct.Value) {
	num, err := driver.At("num").Uint()
	ttys, err2 := driver.At("ttys").Pointer()
	if err = cmp.Or(err, err2); err == nil && ttys == 0 { // those of pty are elsewhere
		return
	}
	if err == nil && num > maxTTYs {
		err = fmt.Errorf("%w: %d terminals", kstruct.ErrTooMany, num)
	}
	if err != nil && !r.lost("tty "+entry, driver.Addr(), err) {
		return
	}
	for i := range min(num, maxTTYs) {
		tty := driver.At("ttys").Index(int(i))
		at, err := tty.Pointer()
		if err != nil {
			r.lost(fmt.Sprintf("tty %s %d", entry, i), driver.Addr(), err)
			return
		}
		if at == 0 {
			continue
		}
		r.follows("tty", fmt.Sprintf("%s %d", entry, i), tty.Deref(), []string{"ops", "ldisc->ops", "port->ops", "port->client_ops"})
		if r.over {
			return
		}
	}
}
