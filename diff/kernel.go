package diff

import (
	"fmt"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
)

func compareModules(d *differ) {
	d.compare(comparison{kind: Modules, needs: findings.Needs{Sections: cos.SectionModules}, notable: notableModule, of: func(s side) (all []object) {
		for i := range s.Modules {
			m := &s.Modules[i]
			o := object{key: m.Name, name: m.Name, addr: m.Address, fields: []Field{field("srcversion", m.SrcVersion), field("build ID", m.BuildID), field("taints", m.Taints), field("missing from", m.Missing)}}
			if d.boot {
				o.fields = append(o.fields, field("base", m.Base))
			}
			all = append(all, o)
		}
		return all
	}})
}

func notableModule(f Field) string {
	switch f.Name {
	case "missing from":
		return "it is hidden from a view, or is seen again"
	case "srcversion", "build ID":
		return "it is another module of that name"
	}
	return ""
}

func comparePrograms(d *differ) {
	d.compare(comparison{kind: Programs, needs: findings.Needs{Sections: cos.SectionBPF}, counted: true, of: func(s side) (all []object) {
		for i := range s.BPF.Programs {
			p := &s.BPF.Programs[i]
			pod := s.pod(p.PodUID)
			o := object{key: key(p.Type.String(), p.FullName, p.Tag), pod: pod, container: s.containerName(p.ContainerID), name: fmt.Sprintf("%d %v %s %s", p.ID, p.Type, p.FullName, p.Tag), addr: p.Address}
			if d.boot {
				o.key = key(fmt.Sprint(p.ID), p.Tag, p.LoadTime.UTC().Format(time.RFC3339))
				o.fields = []Field{field("hidden", p.Hidden), field("attachments", len(p.Attachments)), field("owners", len(p.Owners))}
			}
			all = append(all, o)
		}
		return all
	}})
}

// compareHooks compares where the kernel's pointers lead, within one boot: their places are numbers.
func compareHooks(d *differ) {
	if !d.boot {
		d.out.Unknown = append(d.out.Unknown, Unknown{Kind: Hooks, Reason: "pointers of the kernel are compared within one boot alone"})
		return
	}
	d.compare(comparison{kind: Hooks, needs: findings.Needs{Sections: cos.SectionHooks}, notable: notableHook, of: func(s side) (all []object) {
		for i := range s.Hooks {
			h := &s.Hooks[i]
			if fleeting[h.Table] {
				continue
			}
			// Several may be at one place: the target is part of what they are, unless the place is one pointer.
			o := object{key: key(h.Table, h.Entry, h.Target.String()), name: h.Table + " " + h.Entry, addr: h.Address, fields: []Field{field("suspect", h.Suspect)}}
			if h.Address != 0 && single[h.Table] {
				o.key, o.fields = key(h.Table, h.Address.String()), append(o.fields, field("target", h.Target), field("symbol", h.Symbol))
			} else {
				o.fields = append(o.fields, field("target", ""), field("symbol", ""))
			}
			all = append(all, o)
		}
		return all
	}})
}

// fleeting are tables whose entries come and go as a kernel runs; single are those that have one pointer at each place, which stays.
var (
	fleeting = map[string]bool{"timers": true, "hrtimers": true, "workqueue": true, "kthreads": true, "superblocks": true, "packet_types": true}
	single   = map[string]bool{"sys_call_table": true, "ia32_sys_call": true, "idt": true, "proc": true, "lsm": true, "binfmt": true, "filesystems": true, "softirq": true}
)

func notableHook(f Field) string {
	switch {
	case f.Name == "target":
		return "the kernel calls other code at that place"
	case f.Name == "suspect" && f.After == "true":
		return "what is called there does not belong"
	}
	return ""
}

func compareSettings(d *differ) {
	d.compare(comparison{kind: Settings, needs: findings.Needs{Sections: cos.SectionKernel}, of: func(s side) (all []object) {
		k := s.Kernel.Settings
		add := func(name, value string) {
			all = append(all, object{key: name, name: name, fields: []Field{{Name: "value", Before: value}}})
		}
		add("kernel", s.Kernel.Release)
		add("command line", k.CommandLine.Value)
		add("taint", fmt.Sprintf("%d", k.Taint.Value))
		add("modprobe_path", k.ModprobePath.Value)
		add("security modules", strings.Join(k.LSMs, ","))
		add("lockdown", k.Lockdown)
		add("live patches", "["+strings.Join(k.Livepatches, ",")+"]")
		for i := range k.Sysctls {
			if c := &k.Sysctls[i]; c.Namespace == "" && c.Value != nil && !counters(c.Name) {
				add(c.Name, *c.Value)
			}
		}
		return all
	}})
}

// counters reports whether a setting counts what happens, so that it is another at each time.
func counters(name string) bool {
	for _, part := range []string{"kernel/random/", "fs/dentry-state", "fs/inode-nr", "fs/inode-state", "fs/file-nr", "fs/aio-nr", "kernel/ns_last_pid", "fs/quota/", "kernel/pty/nr", "net/netfilter/nf_conntrack_count", "kernel/tainted"} {
		if strings.HasPrefix(name, part) {
			return true
		}
	}
	return false
}

func compareDeleted(d *differ) {
	if !d.boot {
		d.out.Unknown = append(d.out.Unknown, Unknown{Kind: Deleted, Reason: "files without a name are compared within one boot alone"})
		return
	}
	d.compare(comparison{kind: Deleted, needs: findings.Needs{Processes: true, Sections: cos.SectionFiles}, of: func(s side) (all []object) {
		for i := range s.Files.Nameless {
			f := &s.Files.Nameless[i]
			if len(f.Holders) == 0 {
				continue
			}
			all = append(all, object{key: key(fmt.Sprint(f.Device), fmt.Sprint(f.Number), f.Path), pod: s.pod(f.PodUID), container: s.containerName(f.ContainerID), name: f.Path, addr: f.Addr,
				fields: []Field{field("size", f.Size), field("mtime", f.Mtime.UTC().Format(time.RFC3339))}})
		}
		return all
	}})
}
