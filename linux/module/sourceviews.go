package module

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// sourceViews read what leads to modules.
type sourceViews struct {
	trees   [2]kstruct.Member             // of mod_tree_root
	owner   *kstruct.Field[vmem.VirtAddr] // of mod_tree_node
	treeErr error

	ksetList   kstruct.Member                // of struct kset
	kobject    *kstruct.Field[vmem.VirtAddr] // the module of module_kobject
	kset       *kstruct.Field[vmem.VirtAddr] // of struct module
	kobjectErr error
}

func bindSources(types *isf.File) (v sourceViews) {
	b := kstruct.NewBinder(types)
	v.trees[0] = kstruct.BindMember(b, "mod_tree_root", "root.tree[0]")
	v.trees[1] = kstruct.BindMember(b, "mod_tree_root", "root.tree[1]")
	v.owner = kstruct.BindField[vmem.VirtAddr](b, "mod_tree_node", "mod")
	v.treeErr = b.Err()
	b = kstruct.NewBinder(types)
	v.ksetList = kstruct.BindMember(b, "kset", "list")
	v.kobject = kstruct.BindField[vmem.VirtAddr](b, "module_kobject", "mod")
	v.kset = kstruct.BindField[vmem.VirtAddr](b, "module", "mkobj.kobj.kset")
	v.kobjectErr = b.Err()
	return v
}
