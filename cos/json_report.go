package cos

import (
	"strconv"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// MarshalJSON returns the report in the form that [Schema] names: the same bytes for
// the same report. Arrays are never null. A value that is not known, or does not
// apply, is null. Addresses are hexadecimal strings, times are in UTC with
// nanoseconds.
//
// A byte that is not part of UTF-8 becomes a lone surrogate, \udc80 to \udcff, as
// PEP 383 has it: in Python, os.fsencode of a string gives its bytes back. Go's
// encoding/json replaces such bytes when it decodes.
func (r *NodeReport) MarshalJSON() ([]byte, error) {
	w := new(jsonWriter)
	w.raw("{")
	w.stringKey("schema", Schema)
	w.kernel(r.Kernel)
	w.optional("hostname", r.Hostname)
	w.time("bootTime", r.BootTime)
	array(w, "pods", r.Pods, w.pod)
	array(w, "processes", r.Processes, w.process)
	array(w, "gaps", r.Gaps, w.gap)
	array(w, "notes", r.Notes, w.string)
	w.raw("}")
	return w.b, nil
}

func (w *jsonWriter) kernel(k Kernel) {
	w.key("kernel")
	w.raw("{")
	w.stringKey("release", k.Release)
	w.stringKey("banner", k.Banner)
	w.number("pageTableLevels", int64(k.PageTableLevels))
	w.stringKey("kaslrShift", hex(k.KASLRShift))
	if k.PhysBase < 0 {
		w.stringKey("physBase", "-"+hex(-uint64(k.PhysBase)))
	} else {
		w.stringKey("physBase", hex(uint64(k.PhysBase)))
	}
	w.optional("symbols", k.Symbols)
	w.raw("}")
}

func hex(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func (w *jsonWriter) pod(p Pod) {
	w.raw("{")
	w.stringKey("uid", p.UID)
	w.optional("qos", string(p.QoS))
	w.optional("namespace", p.Namespace)
	w.optional("name", p.Name)
	w.optional("sandboxID", p.SandboxID)
	array(w, "containers", p.Containers, w.container)
	array(w, "evidence", p.Evidence, w.evidence)
	w.raw("}")
}

func (w *jsonWriter) container(c Container) {
	w.raw("{")
	w.optional("id", c.ID)
	w.optional("name", c.Name)
	array(w, "pids", c.PIDs, w.pid)
	w.optional("image", c.Image)
	array(w, "evidence", c.Evidence, w.evidence)
	w.raw("}")
}

func (w *jsonWriter) pid(pid int32) { w.integer(int64(pid)) }

func (w *jsonWriter) evidence(e Evidence) {
	w.raw("{")
	w.stringKey("field", e.Field)
	w.stringKey("value", e.Value)
	w.stringKey("source", string(e.Source))
	w.key("hint")
	w.boolean(e.Source.Hint())
	w.number("pid", int64(e.PID))
	w.raw("}")
}

func (w *jsonWriter) process(p Process) {
	w.raw("{")
	w.number("pid", int64(p.PID))
	w.ppid(p.PPID)
	w.stringKey("comm", p.Comm)
	array(w, "args", p.Args, w.string)
	array(w, "env", p.Env, w.string)
	w.optional("exe", p.Exe)
	w.optional("cwd", p.Cwd)
	w.stringKey("state", p.State.String())
	w.key("kernelThread")
	w.boolean(p.KernelThread)
	w.cred(p.Cred)
	w.time("startTime", p.StartTime)
	array(w, "threads", p.Threads, w.thread)
	w.cgroups(p)
	w.namespaces(p.Namespaces)
	array(w, "namespacedPIDs", p.NamespacedPIDs, w.pid)
	array(w, "fds", p.FDs, w.fd)
	w.stringKey("address", p.Address.String())
	w.stringKey("sources", p.Sources.String())
	w.raw("}")
}

func (w *jsonWriter) ppid(ppid int32) {
	if ppid < 0 {
		w.optional("ppid", "")
		return
	}
	w.number("ppid", int64(ppid))
}

// cred writes the real ids, which are what a process is accounted to, and the
// effective ones, which are what it may do.
func (w *jsonWriter) cred(c *linux.Cred) {
	if c == nil {
		for _, name := range [...]string{"uid", "gid", "euid", "egid"} {
			w.optional(name, "")
		}
		return
	}
	w.number("uid", int64(c.UID))
	w.number("gid", int64(c.GID))
	w.number("euid", int64(c.EUID))
	w.number("egid", int64(c.EGID))
}

func (w *jsonWriter) thread(t Thread) {
	w.raw("{")
	w.number("tid", int64(t.TID))
	w.stringKey("comm", t.Comm)
	w.time("startTime", t.StartTime)
	w.raw("}")
}

// cgroups writes all cgroups of the process only where there are several: under
// cgroup v1.
func (w *jsonWriter) cgroups(p Process) {
	w.optional("cgroup", p.Cgroup)
	w.optional("podUID", p.PodUID)
	w.optional("containerID", p.ContainerID)
	if len(p.Cgroups) < 2 {
		return
	}
	array(w, "cgroups", p.Cgroups, func(c linux.CgroupPath) {
		w.raw("{")
		w.number("hierarchy", int64(c.Hierarchy))
		w.stringKey("controllers", c.Controllers)
		w.stringKey("path", c.Path)
		w.raw("}")
	})
}

func (w *jsonWriter) namespaces(n linux.Namespaces) {
	w.key("namespaces")
	w.raw("{")
	w.inum("pid", n.PID)
	w.inum("net", n.Net)
	w.inum("mnt", n.Mnt)
	w.inum("uts", n.UTS)
	w.inum("ipc", n.IPC)
	w.inum("user", n.User)
	w.inum("cgroup", n.Cgroup)
	w.inum("time", n.Time)
	w.raw("}")
}

// fd writes a path that could not be read as null.
func (w *jsonWriter) fd(f linux.FD) {
	w.raw("{")
	w.number("fd", int64(f.FD))
	w.optional("path", f.Path)
	w.raw("}")
}

func (w *jsonWriter) gap(g vmem.Gap) {
	w.raw("{")
	w.stringKey("object", g.Object)
	w.stringKey("place", g.Place.Kind.String())
	w.stringKey("address", hex(g.Place.Addr))
	w.nonzero("size", int64(g.Place.Size))
	w.nonzero("offset", g.Place.Offset)
	w.nonzero("pid", int64(g.Place.PID))
	w.stringKey("reason", string(g.Reason()))
	w.stringKey("error", g.Err.Error())
	w.raw("}")
}
