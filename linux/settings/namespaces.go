package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A namespaceSet is the sysctls of a namespace: a struct ctl_table_set.
type namespaceSet struct {
	name    string // such as net:[4026532000]
	initial bool
	set     vmem.VirtAddr
}

// setMembers are the members of namespaces that are sets of sysctls: that of user namespaces is
// older than 5.10, those of IPC namespaces came with 6.1 (those of mqueues with 5.19), that of PID namespaces with 6.14.
var setMembers = []struct {
	kind, typ string
	members   []string
	of        func(*nsproxy) vmem.VirtAddr
}{
	{"net", "net", []string{"sysctls"}, func(n *nsproxy) vmem.VirtAddr { return n.Net }},
	{"ipc", "ipc_namespace", []string{"ipc_set", "mq_set"}, func(n *nsproxy) vmem.VirtAddr { return n.IPC }},
	{"pid", "pid_namespace", []string{"set"}, func(n *nsproxy) vmem.VirtAddr { return n.PID }},
	{"user", "user_namespace", []string{"set"}, nil}, // of credentials
}

// namespaceSets returns the sets of the initial namespaces, which those of the kernel's first task are, and
// those of other tasks, once each.
func (r *reader) namespaceSets() (sets []namespaceSet, lost []error) {
	if r.views.nsErr != nil {
		return nil, []error{r.views.nsErr}
	}
	tasks := []vmem.VirtAddr{}
	if first, err := r.k.Symbol("init_task"); err == nil {
		tasks = append(tasks, first)
	} else {
		lost = append(lost, err)
	}
	for _, t := range r.opts.Tasks {
		tasks = append(tasks, t.Addr)
	}
	seen := map[vmem.VirtAddr]bool{}
	for i, task := range tasks {
		proxy, user, err := r.namespacesOf(task)
		if err != nil {
			if i == 0 {
				lost = append(lost, err)
			}
			continue // its namespaces are told to be lost with the task
		}
		for _, m := range setMembers {
			ns := user
			if m.of != nil {
				ns = m.of(&proxy)
			}
			if ns == 0 || seen[ns] {
				continue
			}
			seen[ns] = true
			inum, err := r.k.Struct(m.typ, ns).At("ns.inum").Uint()
			if err != nil {
				lost = append(lost, err)
				continue
			}
			for _, member := range m.members {
				if f, err := r.k.Symbols().Field(m.typ, member); err == nil {
					sets = append(sets, namespaceSet{fmt.Sprintf("%s:[%d]", m.kind, inum), i == 0, ns + vmem.VirtAddr(f.Offset)})
				}
			}
		}
	}
	slices.SortStableFunc(sets, func(a, b namespaceSet) int { return strings.Compare(a.name, b.name) })
	return sets, lost
}

// namespacesOf reads the namespaces of a task. A zombie has none but that of its user.
func (r *reader) namespacesOf(task vmem.VirtAddr) (proxy nsproxy, user vmem.VirtAddr, err error) {
	space := r.k.Space()
	at, err := r.views.proxy.Load(space, task)
	if err == nil && at != 0 {
		err = r.views.spaces.Read(space, at, &proxy)
	}
	if err != nil {
		return proxy, 0, err
	}
	cred, err := r.views.cred.Load(space, task)
	if err != nil {
		return proxy, 0, err
	}
	user, err = r.views.user.Load(space, cred)
	return proxy, user, err
}
