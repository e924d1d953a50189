package bpf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// truthOf reads what bpftool said, or skips.
func truthOf[T any](t *testing.T, n *node, name ...string) (all T) {
	t.Helper()
	data := n.read(t, append([]string{"kernel"}, name...)...)
	if err := json.Unmarshal(data, &all); err != nil {
		t.Skip(name, err)
	}
	return all
}

// A toolProgram is a program as bpftool shows it.
type toolProgram struct {
	ID       uint32   `json:"id"`
	Type     string   `json:"type"`
	Name     string   `json:"name"`
	Tag      string   `json:"tag"`
	GPL      bool     `json:"gpl_compatible"`
	Loaded   int64    `json:"loaded_at"`
	UID      int64    `json:"uid"`
	RunTime  uint64   `json:"run_time_ns,omitempty"`
	Runs     uint64   `json:"run_cnt,omitempty"`
	Xlated   int      `json:"bytes_xlated"`
	JITed    bool     `json:"jited"`
	BytesJIT int      `json:"bytes_jited"`
	Memlock  uint64   `json:"bytes_memlock"`
	Maps     []uint32 `json:"map_ids"`
	Pins     []string `json:"pinned"`
	BTF      uint32   `json:"btf_id"`
}

// TestPrograms compares all programs with what bpftool listed. It loads programs itself to find who holds
// what, which are gone by the time of the image.
func TestPrograms(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		want := truthOf[[]toolProgram](t, n, "bpftool_prog.json")
		var got []toolProgram
		hidden := n.unlisted(t)
		for _, p := range n.set.Programs() {
			if hidden[p.ID] {
				delete(hidden, p.ID)
				if !p.Hidden || p.Sources&InIDR != 0 {
					t.Errorf("%v is not hidden: %v", p, p.Sources)
				}
				continue
			}
			got = append(got, toolProgram{
				ID: p.ID, Type: p.Type.String(), Name: p.FullName, Tag: p.Tag, GPL: p.GPL, Loaded: p.LoadTime.Unix(), UID: p.UID, RunTime: p.RunTime, Runs: p.RunCount,
				Xlated: p.XlatedBytes, JITed: p.JITed, BytesJIT: p.JITedBytes, Memlock: p.MemoryBytes, Maps: p.Maps, Pins: append([]string{}, p.Pins...), BTF: p.BTF,
			})
			if p.Hidden || p.Sources&InIDR == 0 {
				t.Errorf("%v is hidden: %v", p, p.Sources)
			}
		}
		for id := range hidden {
			t.Errorf("program %d, which was hidden, was not found", id)
		}
		same := map[uint32]int64{}
		for _, g := range got {
			same[g.ID] = g.Loaded
		}
		for i := range want {
			w := &want[i]
			slices.Sort(w.Pins)
			if d := same[w.ID] - w.Loaded; d == 1 || d == -1 { // bpftool adds seconds of two clocks
				w.Loaded += d
			}
		}
		want = slices.DeleteFunc(want, func(p toolProgram) bool { return ofBPFTool(p.Name) })
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// unlisted returns the programs that a stand-in of a rootkit took out of the table of IDs.
func (n *node) unlisted(t *testing.T) map[uint32]bool {
	ids := map[uint32]bool{}
	data, err := os.ReadFile(filepath.Join(n.Truth, "rootkit.list"))
	if err != nil {
		data, _ = os.ReadFile(filepath.Join(n.Truth, "kernel", "rootkit.list"))
	}
	for line := range strings.Lines(string(data)) {
		var id uint32
		if _, err := fmt.Sscanf(line, "unlist %d", &id); err == nil {
			ids[id] = true
		}
	}
	return ids
}

// ofBPFTool reports whether a program or a map is one that bpftool has for the moment of its question.
func ofBPFTool(name string) bool {
	return name == "iter" || strings.HasPrefix(name, "pid_iter") || name == "libbpf_global" || name == "libbpf_det_bind"
}

// A toolMap is a map as bpftool shows it.
type toolMap struct {
	ID      uint32   `json:"id"`
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Flags   uint32   `json:"flags"`
	Key     uint32   `json:"bytes_key"`
	Value   uint32   `json:"bytes_value"`
	Max     uint32   `json:"max_entries"`
	Memlock uint64   `json:"bytes_memlock"`
	Frozen  int      `json:"frozen"`
	BTF     uint32   `json:"btf_id"`
	Owner   string   `json:"owner_prog_type"`
	Pins    []string `json:"pinned"`
}

// TestMaps compares all maps with what bpftool listed.
func TestMaps(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		want := truthOf[[]toolMap](t, n, "bpftool_map.json")
		var got []toolMap
		for _, m := range n.set.Maps() {
			frozen := 0
			if m.Frozen {
				frozen = 1
			}
			got = append(got, toolMap{
				ID: m.ID, Type: m.Type.String(), Name: m.Name, Flags: m.Flags, Key: m.KeySize, Value: m.ValueSize, Max: m.MaxEntries, Memlock: m.MemoryBytes,
				Frozen: frozen, BTF: m.BTF, Owner: m.OwnerType, Pins: append([]string{}, m.Pins...),
			})
			if m.Hidden {
				t.Errorf("%v is hidden: %v", m, m.Sources)
			}
		}
		for i := range want {
			slices.Sort(want[i].Pins)
		}
		want = slices.DeleteFunc(want, func(m toolMap) bool { return ofBPFTool(m.Name) })
		forgetStale(n, want, got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// TestLinks compares all links with what bpftool listed. What an older kernel does not tell it is
// not compared.
func TestLinks(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		want := truthOf[[]map[string]any](t, n, "bpftool_link.json")
		var got []map[string]any
		for _, l := range n.set.Links() {
			if l.ID == 0 {
				continue
			}
			if l.Hidden {
				t.Errorf("link %d is hidden", l.ID)
			}
			got = append(got, toolLinkOf(n, l))
		}
		want = slices.DeleteFunc(want, func(l map[string]any) bool { return n.programOf(l["prog_id"]) == nil && l["type"] != "struct_ops" })
		for i := range want {
			if i < len(got) {
				got[i] = keysOf(got[i], want[i])
			}
			normalizeLink(want[i])
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// normalizeLink puts into one form what versions of bpftool write in several.
func normalizeLink(l map[string]any) {
	if number, ok := l["type"].(float64); ok { // newer than bpftool 7.1 is: enum bpf_link_type
		l["type"] = map[float64]string{10: "netfilter", 11: "tcx", 12: "uprobe_multi", 13: "netkit", 14: "sockmap"}[number]
	}
	delete(l, "flags")  // of netfilter and probes, by name in some
	delete(l, "missed") // which go on
	delete(l, "pids")
	if v, ok := l["addr"].(float64); ok {
		l["addr"] = fmt.Sprintf("%.12e", v)
	}
	if fs, ok := l["funcs"].([]any); ok {
		for _, f := range fs {
			m := f.(map[string]any)
			delete(m, "module")
			delete(m, "ref_ctr_offset")
			if v, ok := m["addr"].(float64); ok {
				m["addr"] = fmt.Sprintf("%.12e", v)
			}
		}
		slices.SortFunc(fs, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	if p, ok := l["pinned"].([]any); ok {
		slices.SortFunc(p, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}

// keysOf returns those members of a map that another has.
func keysOf(m, other map[string]any) map[string]any {
	out := map[string]any{}
	for k := range other {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out
}

func (n *node) programOf(id any) *Program {
	f, _ := id.(float64)
	for _, p := range n.set.Programs() {
		if float64(p.ID) == f && f != 0 {
			return p
		}
	}
	return nil
}

// toolLinkOf returns a link as bpftool shows it.
func toolLinkOf(n *node, l *Link) map[string]any {
	pins := []any{}
	for _, p := range l.Pins {
		pins = append(pins, p)
	}
	m := map[string]any{
		"id": float64(l.ID), "type": l.Type.String(), "prog_id": float64(l.Program), "attach_type": l.AttachType, "pinned": pins,
		"tp_name": l.Target, "target_name": l.Target, "target_obj_id": float64(l.TargetBTF), "target_btf_id": float64(l.TargetType), "cgroup_id": float64(l.CgroupID),
		"netns_ino": float64(l.NetNS), "map_id": float64(l.Map), "tracepoint": l.Target, "func": l.Target, "file": l.Target, "path": l.Target,
		"offset": float64(l.Offset), "cookie": float64(l.Cookie), "pf": float64(l.Family), "hook": float64(l.Hook), "prio": float64(l.Priority),
		"retprobe": l.Return, "func_cnt": float64(len(l.Functions)), "event_type": l.Event, "bpf_cookie": float64(l.Cookie),
		"devname": l.Target, "ifindex": float64(l.Index), "pid": float64(l.PID), "config": float64(l.Config), "ref_ctr_offset": float64(0),
	}
	if p := n.programOf(float64(l.Program)); p != nil {
		m["prog_type"] = p.Type.String()
	}
	if l.Type == KprobeMultiLink || l.Type == UprobeMultiLink {
		var fs []any
		for _, f := range l.Functions {
			e := map[string]any{"cookie": float64(f.Cookie)}
			if l.Type == KprobeMultiLink {
				e["addr"], e["func"] = fmt.Sprintf("%.12e", float64(f.Address)), f.Name
			} else {
				e["offset"] = float64(f.Offset)
			}
			fs = append(fs, e)
		}
		slices.SortFunc(fs, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		m["funcs"] = fs
	}
	if len(l.Functions) == 1 {
		m["addr"] = fmt.Sprintf("%.12e", float64(l.Functions[0].Address))
	}
	return m
}

// A toolBTF is a set of types as bpftool shows it.
type toolBTF struct {
	ID     uint32   `json:"id"`
	Size   uint32   `json:"size"`
	Progs  []uint32 `json:"prog_ids"`
	Maps   []uint32 `json:"map_ids"`
	Kernel bool     `json:"kernel"`
	Name   string   `json:"name"`
}

// TestBTF compares all types with what bpftool listed.
func TestBTF(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		want := truthOf[[]toolBTF](t, n, "bpftool_btf.json")
		found, hidden := map[uint32]bool{}, n.unlisted(t)
		var got []toolBTF
		for _, b := range n.set.BTFs() {
			found[b.ID] = true
			if b.ID == 0 && b.Name == "vmlinux" { // of 5.10, which bpftool does not see
				continue
			}
			listed := slices.DeleteFunc(append([]uint32{}, b.Programs...), func(id uint32) bool { return hidden[id] })
			got = append(got, toolBTF{ID: b.ID, Size: b.Size, Progs: listed, Maps: append([]uint32{}, b.Maps...), Kernel: b.Kernel, Name: b.Name})
		}
		want = slices.DeleteFunc(want, func(b toolBTF) bool { return !found[b.ID] && !b.Kernel && len(b.Progs)+len(b.Maps) == 0 }) // bpftool's own
		for i := range want {
			slices.Sort(want[i].Progs)
			slices.Sort(want[i].Maps)
			if want[i].Name == "<anon>" {
				want[i].Name = ""
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// A toolCgroup is a cgroup as bpftool shows it.
type toolCgroup struct {
	Path     string `json:"cgroup"`
	Programs []struct {
		ID    uint32 `json:"id"`
		Type  string `json:"attach_type"`
		Flags string `json:"attach_flags"`
	} `json:"programs"`
}

// TestCgroups compares the programs of all cgroups with what bpftool listed.
func TestCgroups(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		var want, got []string
		all := truthOf[[]toolCgroup](t, n, "bpftool_cgroup.json")
		if !slices.ContainsFunc(all, func(c toolCgroup) bool { return len(c.Programs) > 0 }) {
			t.Skip("bpftool could not read them") // as one of 7.1 can't on 5.10
		}
		for _, c := range all {
			for _, p := range c.Programs {
				want = append(want, fmt.Sprintln(strings.TrimPrefix(c.Path, "/sys/fs/cgroup/unified"), p.ID, p.Type, p.Flags))
			}
		}
		for _, c := range n.set.Cgroups() {
			for _, p := range c.Programs {
				got = append(got, fmt.Sprintln(c.Path, p.Program, p.AttachType, p.Flags))
			}
			if !slices.ContainsFunc(c.Programs, func(CgroupProgram) bool { return true }) && len(c.Effective) == 0 {
				t.Errorf("%s has no programs", c.Path)
			}
		}
		for i, w := range want {
			want[i] = strings.TrimPrefix(w, "/sys/fs/cgroup")
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// forgetStale leaves out what bpftool shows of an earlier map. Newer kernels fill in what the caller's structure holds
// (bpf_map_get_info_by_fd copies it first), and bpftool 7.1 hands the same one over for all maps: one without types
// seems to have those of the map before. Sizes of struct_ops maps are not read.
func forgetStale(n *node, want, got []toolMap) {
	if len(want) != len(got) {
		return
	}
	shown := uint32(0)
	for i := range want {
		stale := want[i].BTF == shown // what is not that of the map before is the map's own
		shown = want[i].BTF
		if stale && got[i].BTF == 0 && n.K.Symbols().HasField("bpf_map", "sha") {
			want[i].BTF = 0
		}
		if got[i].Type == "struct_ops" && got[i].Memlock == 0 {
			want[i].Memlock = 0
		}
	}
}
