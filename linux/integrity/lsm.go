package integrity

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A securityHook is struct security_hook_list (include/linux/lsm_hooks.h): one function of a security module.
type securityHook struct {
	Function vmem.VirtAddr `kernel:"hook.file_open"` // of a union of all types of functions
	Name     vmem.VirtAddr `kernel:"lsm,optional"`   // until 6.7
	ID       vmem.VirtAddr `kernel:"lsmid,optional"` // since 6.8
}

// A securityCall is struct lsm_static_call: since 6.12 the hooks of security modules are static calls.
type securityCall struct {
	Key  vmem.VirtAddr `kernel:"key"`
	Hook vmem.VirtAddr `kernel:"hl"`
}

type lsmViews struct {
	hook *kstruct.View[securityHook]
	at   kstruct.Member // security_hook_list.hook
	name *kstruct.Field[vmem.VirtAddr]
	list kstruct.Member // security_hook_list.list, until 6.11
	head *kstruct.Field[vmem.VirtAddr]
	call *kstruct.View[securityCall]
	size uint64 // of a securityCall
	key  *kstruct.Field[vmem.VirtAddr]
	err  error
}

func bindLSM(types *isf.File, calls bool) (v lsmViews) {
	b := kstruct.NewBinder(types)
	v.at = kstruct.BindMember(b, "security_hook_list", "hook")
	v.hook = kstruct.Bind[securityHook](b, "security_hook_list")
	v.name = kstruct.BindOptionalField[vmem.VirtAddr](b, "lsm_id", "name")
	if calls {
		v.call = kstruct.Bind[securityCall](b, "lsm_static_call")
		v.key = kstruct.BindField[vmem.VirtAddr](b, "static_call_key", "func")
		if t, err := types.UserType("lsm_static_call"); err == nil {
			v.size = t.Size
		}
	} else {
		v.list = kstruct.BindMember(b, "security_hook_list", "list")
		v.head = kstruct.BindField[vmem.VirtAddr](b, "security_hook_list", "head")
	}
	v.err = b.Err()
	return v
}

// readLSM yields what security modules are asked by: security_hook_heads until 6.11, static_calls_table since. All of them
// are part of the kernel's image.
func readLSM(r *reader) {
	const object = "hooks of security modules"
	types := r.k.Symbols()
	typ, symbol := "lsm_static_calls_table", "static_calls_table"
	table, err := types.UserType(typ)
	calls := err == nil
	if !calls {
		typ, symbol = "security_hook_heads", "security_hook_heads"
		if table, err = types.UserType(typ); err != nil {
			r.lost(object, 0, err)
			return
		}
	}
	v := bindLSM(types, calls)
	at, err := r.securityTable(&v, symbol, table)
	if err != nil {
		r.lost(object, at, err)
		return
	}
	for i, f := range table.Fields {
		end := table.Size
		if i+1 < len(table.Fields) {
			end = table.Fields[i+1].Offset
		}
		if !r.alive() {
			return
		}
		if place := at + vmem.VirtAddr(f.Offset); calls {
			r.securityCalls(&v, f.Name, place, end-f.Offset)
		} else {
			r.securityList(&v, f.Name, place)
		}
	}
}

// securityTable returns the address of the table. Lists that no symbol names are found by the functions that go through one: each
// of its nodes leads back to the list's head.
func (r *reader) securityTable(v *lsmViews, symbol string, table *isf.UserType) (vmem.VirtAddr, error) {
	if v.err != nil {
		return 0, v.err
	}
	at, err := r.k.Symbol(symbol)
	if err == nil {
		return at, nil
	}
	for _, f := range table.Fields {
		if f.Name != "file_open" && f.Name != "inode_permission" && f.Name != "capable" {
			continue
		}
		var place vmem.VirtAddr
		place, err = r.find(variable{symbol, []string{"security_" + f.Name}, func(a vmem.VirtAddr) bool {
			node, ok := r.pointer(a)
			if !ok || !v.list.Ok() {
				return false
			}
			head, err := v.head.Load(r.k.Space(), v.list.Container(node))
			return err == nil && head == a
		}})
		if err == nil {
			return place - vmem.VirtAddr(f.Offset), nil
		}
	}
	return 0, err
}

// securityList yields the functions of one list.
func (r *reader) securityList(v *lsmViews, name string, head vmem.VirtAddr) {
	for node, err := range r.walk("hooks of security modules: " + name).HList(head) {
		if err != nil {
			r.lost("hooks of security modules: "+name, head, err)
			continue
		}
		if !r.securityHook(v, name, v.list.Container(node), 0) {
			return
		}
	}
}

// securityCalls yields the functions of one hook from its static calls, of which each has a slot.
func (r *reader) securityCalls(v *lsmViews, name string, at vmem.VirtAddr, bytes uint64) {
	for end := at + vmem.VirtAddr(bytes); v.size > 0 && at+vmem.VirtAddr(v.size) <= end; at += vmem.VirtAddr(v.size) {
		c, err := v.call.Load(r.k.Space(), at)
		var target vmem.VirtAddr
		if err == nil {
			target, err = v.key.Load(r.k.Space(), c.Key)
		}
		switch {
		case err != nil:
			r.lost("hooks of security modules: "+name, at, err)
		case c.Hook != 0:
			r.securityHook(v, name, c.Hook, target)
		case target != 0:
			h := r.Hook("lsm", name, c.Key, target)
			h.suspect("no security module registered it")
			r.found(h)
		}
		if r.over {
			return
		}
	}
}

// securityHook yields one function; called is what its static call leads to, 0 where there is none.
func (r *reader) securityHook(v *lsmViews, name string, at, called vmem.VirtAddr) bool {
	s, err := v.hook.Load(r.k.Space(), at)
	if err != nil {
		return r.lost("hooks of security modules: "+name, at, err)
	}
	entry := name
	if owner := r.securityModule(v, &s); owner != "" {
		entry += " " + owner
	}
	h := r.Hook("lsm", entry, v.at.Of(at), s.Function)
	h.mustBeKernel()
	if called != 0 && called != s.Function {
		h.suspect("its static call leads to %s", r.nameOf(called))
	}
	return r.found(h)
}

// securityModule returns the name of the module that has a hook, empty where it can't be read: who asks sees the function.
func (r *reader) securityModule(v *lsmViews, s *securityHook) string {
	at := s.Name
	if s.ID != 0 && v.name.Ok() {
		at, _ = v.name.Load(r.k.Space(), s.ID)
	}
	if at == 0 {
		return ""
	}
	name, _ := r.k.Space().CString(at, 64)
	return name
}
