package settings

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A ctlTable is struct ctl_table (include/linux/sysctl.h): one setting.
type ctlTable struct {
	Name    vmem.VirtAddr `kernel:"procname"`
	Data    vmem.VirtAddr `kernel:"data"`
	MaxLen  int32         `kernel:"maxlen"`
	Mode    uint16        `kernel:"mode"`
	Handler vmem.VirtAddr `kernel:"proc_handler"`
	Extra1  vmem.VirtAddr `kernel:"extra1"`
	Extra2  vmem.VirtAddr `kernel:"extra2"`
}

// A ctlHeader is struct ctl_table_header: a table in a directory. Each of its entries has a node
// in the directory's tree. A directory begins with the header of the table that it is an entry of.
type ctlHeader struct {
	Table  vmem.VirtAddr `kernel:"ctl_table"`
	Root   vmem.VirtAddr `kernel:"root"`
	Set    vmem.VirtAddr `kernel:"set"`
	Parent vmem.VirtAddr `kernel:"parent"`
	Node   vmem.VirtAddr `kernel:"node"`
}

// A nsproxy is struct nsproxy, as far as sysctls are of namespaces.
type nsproxy struct {
	IPC vmem.VirtAddr `kernel:"ipc_ns,optional"`
	PID vmem.VirtAddr `kernel:"pid_ns_for_children,optional"`
	Net vmem.VirtAddr `kernel:"net_ns,optional"`
}

type views struct {
	table  *kstruct.View[ctlTable]
	header *kstruct.View[ctlHeader]
	node   *kstruct.Field[vmem.VirtAddr] // the header in struct ctl_node
	first  kstruct.Member                // the struct rb_node in it
	size   uint64                        // of struct ctl_node
	tree   kstruct.Member                // of struct ctl_dir
	dir    kstruct.Member                // of struct ctl_table_set
	own    kstruct.Member                // the default set of struct ctl_table_root
	err    error

	proxy  *kstruct.Field[vmem.VirtAddr] // of struct task_struct
	spaces *kstruct.View[nsproxy]
	cred   *kstruct.Field[vmem.VirtAddr] // likewise
	user   *kstruct.Field[vmem.VirtAddr] // of struct cred
	nsErr  error

	format    *kstruct.View[binaryFormat]
	formatErr error
}

func bind(types *isf.File) (v views) {
	b := kstruct.NewBinder(types)
	v.table = kstruct.Bind[ctlTable](b, "ctl_table")
	v.header = kstruct.Bind[ctlHeader](b, "ctl_table_header")
	v.node = kstruct.BindField[vmem.VirtAddr](b, "ctl_node", "header")
	v.first = kstruct.BindMember(b, "ctl_node", "node")
	v.tree = kstruct.BindMember(b, "ctl_dir", "root")
	v.dir = kstruct.BindMember(b, "ctl_table_set", "dir")
	v.own = kstruct.BindMember(b, "ctl_table_root", "default_set")
	v.err = b.Err()
	if t, err := types.UserType("ctl_node"); err == nil {
		v.size = t.Size
	}
	b = kstruct.NewBinder(types)
	v.proxy = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "nsproxy")
	v.cred = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "real_cred")
	v.user = kstruct.BindField[vmem.VirtAddr](b, "cred", "user_ns")
	v.spaces = kstruct.Bind[nsproxy](b, "nsproxy")
	v.nsErr = b.Err()
	b = kstruct.NewBinder(types)
	v.format = kstruct.Bind[binaryFormat](b, "linux_binfmt")
	v.formatErr = b.Err()
	return v
}
