package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each qdisc is as `tc -s qdisc` showed it, in what is read of its options.
func TestTrueQdiscs(t *testing.T) {
	eachNetwork(t, "tc_qdisc.json", func(t *testing.T, c *Configuration, truth []jsonObject) {
		var got []jsonObject
		for _, d := range c.Devices {
			for _, q := range d.Qdiscs {
				got = append(got, tcQdisc(d, q))
			}
		}
		for i, want := range truth {
			delete(want, "refcnt")
			said, _ := want["options"].(jsonObject)
			shown := jsonObject{}
			var found jsonObject
			if i < len(got) {
				found = got[i]
				closeNumbers(found, want, "bytes", "packets", "drops", "overlimits", "requeues")
			}
			options, _ := found["options"].(jsonObject)
			for key := range options {
				shown[key] = said[key]
			}
			want["options"] = shown
			for key := range want { // of the kind, such as new_flow_count
				if _, ok := found[key]; !ok && found != nil && key != "parent" && key != "root" {
					delete(want, key)
				}
			}
		}
		compare(t, truth, got)
	})
}

// tcQdisc returns a qdisc in the form of `tc -s -j qdisc`.
func tcQdisc(d *Device, q *Qdisc) jsonObject {
	options := jsonObject{}
	for key, v := range q.Options {
		switch {
		case q.Kind == "tbf" && (key == "limit" || key == "burst"): // shown as a latency, and rounded
		case q.Kind == "htb" && key == "default":
			options[key] = fmt.Sprintf("%#x", v)
		case key == "ecn":
			options[key] = v == 1
		case q.Kind == "netem" && (key == "delay" || key == "jitter"):
			continue // in a unit of its own
		default:
			options[key] = v
		}
	}
	handle := q.Handle.String()
	if handle == "none" {
		handle = "0:"
	}
	o := jsonObject{
		"kind": q.Kind, "handle": handle, "dev": d.Name, "options": options, "bytes": q.Bytes, "packets": q.Packets, "drops": q.Drops,
		"overlimits": q.Overlimits, "requeues": q.Requeues, "backlog": q.Backlog, "qlen": q.QLen,
	}
	if q.Parent == tcRoot {
		o["root"] = true
	} else {
		o["parent"] = q.Parent
	}
	return o
}

// closeNumbers takes numbers for those of the truth that grew since.
func closeNumbers(got, truth jsonObject, keys ...string) {
	for _, key := range keys {
		said, _ := truth[key].(float64)
		b, _ := json.Marshal(got[key])
		found, err := strconv.ParseUint(string(b), 10, 64)
		if err == nil && found >= uint64(said) && found < uint64(said)*2+5000 {
			got[key] = said
		}
	}
}

// The filters of clsact and of other qdiscs are those that `tc filter` showed, with their
// programs.
func TestTrueFilters(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			for _, d := range c.Devices {
				for _, of := range []struct{ file, direction string }{
					{"tc_filter." + d.Name + ".json", ""}, {"tc_filter_ingress." + d.Name + ".json", "ingress"}, {"tc_filter_egress." + d.Name + ".json", "egress"},
				} {
					truth, err := readTruth(n, c, of.file)
					if errors.Is(err, fs.ErrNotExist) {
						continue
					}
					if err != nil {
						t.Error(err)
						continue
					}
					if n.poor {
						continue
					}
					compare(t, shownFilters(truth), tcFilters(d, of.direction))
					compared += len(truth)
				}
			}
		}
		t.Logf("%d filters compared", compared)
	})
}

// shownFilters returns what is read of filters: each once, and programs.
func shownFilters(truth []jsonObject) (shown []jsonObject) {
	for _, f := range truth {
		if f["ingress"] == true {
			continue // tc shows those of ingress for egress too, where there is no clsact
		}
		options, _ := f["options"].(jsonObject)
		if options == nil {
			shown = append(shown, f)
			continue
		}
		if prog, ok := options["prog"].(jsonObject); ok {
			shown = append(shown, jsonObject{
				"handle": options["handle"], "bpf_name": options["bpf_name"], "direct-action": options["direct-action"], "id": prog["id"], "tag": prog["tag"],
			})
		}
	}
	return shown
}

// tcFilters returns the filters of a direction, or those of other qdiscs than clsact and
// ingress, in the form of shownFilters.
func tcFilters(d *Device, direction string) (got []jsonObject) {
	for _, q := range d.Qdiscs {
		for _, f := range q.Filters {
			if f.Direction != direction {
				continue
			}
			o := jsonObject{"protocol": f.Protocol, "pref": f.Pref, "kind": f.Kind, "chain": f.Chain}
			if direction == "" {
				o["parent"] = q.Handle
			}
			got = append(got, o)
			for _, p := range f.Programs {
				got = append(got, jsonObject{
					"handle": fmt.Sprintf("%#x", p.Handle), "bpf_name": p.Name, "direct-action": p.Direct, "id": p.Prog.ID, "tag": p.Prog.Tag,
				})
			}
		}
	}
	return got
}

// The classes of an htb are those that `tc class` showed.
func TestTrueClasses(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			for _, d := range c.Devices {
				b, err := os.ReadFile(filepath.Join(n.img.Truth, "net", fmt.Sprint(c.Namespace.Inum), "tc_class."+d.Name))
				if err != nil {
					continue
				}
				var want, got []string
				for line := range strings.Lines(string(b)) { // tc writes these as text
					if rest, ok := strings.CutPrefix(line, "class htb "); ok {
						want = append(want, strings.Join(strings.Fields(rest)[:htbWords(rest)], " "))
					}
				}
				for _, q := range d.Qdiscs {
					for _, class := range q.Classes {
						got = append(got, tcClass(&class))
					}
				}
				if n.poor {
					continue
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("(-truth +image):\n%s", d)
				}
				compared += len(want)
			}
		}
		t.Logf("%d classes compared", compared)
	})
}

// htbWords returns how many words of a line say what is compared: all up to the ceiling.
func htbWords(line string) int {
	for i, word := range strings.Fields(line) {
		if word == "ceil" {
			return i + 2
		}
	}
	return 0
}

func tcClass(c *QdiscClass) string {
	text := c.Handle.String() + " "
	if c.Parent == tcRoot {
		text += "root"
	} else {
		text += "parent " + c.Parent.String()
	}
	if c.Leaf != 0 {
		text += " leaf " + c.Leaf.String()
	}
	rate := func(bytes uint64) string {
		bits := bytes * 8
		if bits%1e9 == 0 {
			return fmt.Sprintf("%dGbit", bits/1e9)
		}
		return fmt.Sprintf("%dMbit", bits/1e6)
	}
	if c.Leaf != 0 {
		text += fmt.Sprintf(" prio %d quantum %d", c.Prio, c.Quantum)
	}
	return text + " rate " + rate(c.Rate) + " ceil " + rate(c.Ceil)
}
