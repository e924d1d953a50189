package nftables

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String returns the table as nft list ruleset writes it.
func (t *Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", t.Family, t.Name)
	sep := ""
	block := func(lines []string) {
		b.WriteString(sep)
		sep = "\n"
		for _, l := range lines {
			b.WriteString("\t" + l + "\n")
		}
	}
	if len(t.Flags) > 0 {
		block([]string{"flags " + join(t.Flags)})
	}
	if t.Comment != "" {
		b.WriteString("\tcomment " + quote(t.Comment) + "\n")
	}
	for _, o := range t.Objects {
		block(o.text())
	}
	for _, s := range t.Sets {
		block(s.text())
	}
	for _, f := range t.Flowtables {
		block(f.text())
	}
	for _, c := range t.Chains {
		block(c.text(t.Family))
	}
	b.WriteString("}\n")
	return b.String()
}

func (o *Object) text() []string {
	lines := []string{o.Kind + " " + o.Name + " {"}
	if o.Comment != "" {
		lines = append(lines, "\tcomment "+quote(o.Comment))
	}
	for _, l := range o.lines {
		lines = append(lines, "\t"+l)
	}
	return append(lines, "}")
}

func (s *Set) text() []string {
	kind, typ := "set", "type "+s.Type
	if s.Typeof != "" {
		typ = "typeof " + s.Typeof
	}
	if s.Map {
		kind, typ = "map", typ+" : "+cmp.Or(s.DataTypeof, s.Data)
	}
	lines := []string{kind + " " + s.Name + " {", "\t" + typ}
	if s.Policy != "" {
		lines = append(lines, "\tpolicy "+s.Policy)
	}
	if s.Size != 0 && s.constrained() {
		lines = append(lines, fmt.Sprint("\tsize ", s.Size))
	}
	if flags := s.textFlags(); len(flags) > 0 {
		lines = append(lines, "\tflags "+join(flags))
	}
	if s.AutoMerge {
		lines = append(lines, "\tauto-merge")
	}
	if s.Timeout != 0 {
		lines = append(lines, "\ttimeout "+durationText(s.Timeout))
	}
	if s.GC != 0 {
		lines = append(lines, "\tgc-interval "+durationText(int64(s.GC)))
	}
	for _, st := range s.stmts {
		lines = append(lines, "\t"+strings.Split(st.text(), " packets ")[0])
	}
	if s.Comment != "" {
		lines = append(lines, "\tcomment "+quote(s.Comment))
	}
	if len(s.Elements) > 0 {
		lines = append(lines, s.elementLines()...)
	}
	return append(lines, "}")
}

// constrained reports whether the size of a set is one that was asked for.
func (s *Set) constrained() bool { return s.raw.Size != 0 }

// textFlags returns the flags that are written: that of times only where no time is.
func (s *Set) textFlags() (flags []string) {
	for _, f := range s.Flags {
		if f != "timeout" || s.Timeout == 0 || slices.Contains(s.Flags, "dynamic") {
			flags = append(flags, f)
		}
	}
	return flags
}

// elementLines writes elements, so many in a line as nft does.
func (s *Set) elementLines() (lines []string) {
	per := 1
	if len(s.keys) == 1 && len(s.Elements) > 0 {
		switch s.keys[0] {
		case typeIP:
			per = 2
		case typeService, typeMark, typeProto:
			per = 5
		}
	}
	if s.Map || hasLong(s.Elements) {
		per = len(s.Elements)
	}
	var b strings.Builder
	b.WriteString("\telements = { ")
	for i, e := range s.Elements {
		if i > 0 {
			b.WriteString(",")
			if i%per == 0 {
				lines = append(lines, b.String())
				b.Reset()
				b.WriteString("\t\t     ")
			} else {
				b.WriteString(" ")
			}
		}
		b.WriteString(e.Text)
	}
	return append(lines, b.String()+" }")
}

func hasLong(elems []Element) bool {
	for _, e := range elems {
		if e.Text != e.Key {
			return true
		}
	}
	return false
}

func (f *Flowtable) text() []string {
	lines := []string{"flowtable " + f.Name + " {", "\thook " + f.Hook + " priority " + priorityText("netdev", f.Hook, f.Priority)}
	if len(f.Devices) > 0 {
		lines = append(lines, "\tdevices = { "+strings.Join(f.Devices, ", ")+" }")
	}
	if len(f.Flags) > 0 {
		lines = append(lines, "\tflags "+join(f.Flags))
	}
	return append(lines, "}")
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return out
}

func (c *Chain) text(family string) []string {
	lines := []string{"chain " + c.Name + " {"}
	if c.Comment != "" {
		lines = append(lines, "\tcomment "+quote(c.Comment))
	}
	if c.Hook != "" {
		devices := ""
		switch {
		case len(c.Devices) == 1:
			devices = " device " + quote(c.Devices[0])
		case len(c.Devices) > 1:
			devices = " devices = { " + strings.Join(quoted(c.Devices), ", ") + " }"
		}
		lines = append(lines, fmt.Sprintf("\ttype %s hook %s%s priority %s; policy %s;",
			c.Type, c.Hook, devices, priorityText(family, c.Hook, c.Priority), c.Policy))
	}
	for _, r := range c.Rules {
		line := "\t" + r.Text
		if r.Comment != "" {
			line += " comment " + quote(r.Comment)
		}
		lines = append(lines, line)
	}
	return append(lines, "}")
}

// priorities are the priorities that have names (include/uapi/linux/netfilter_ipv4.h and
// netfilter_bridge.h).
var (
	priorities = []namedPriority{
		{"raw", -300, ""}, {"mangle", -150, ""}, {"dstnat", -100, "prerouting"}, {"filter", 0, ""}, {"security", 50, ""}, {"srcnat", 100, "postrouting"},
	}
	bridgePriorities = []namedPriority{
		{"dstnat", -300, "prerouting"}, {"filter", -200, ""}, {"out", 100, "output"}, {"srcnat", 300, "postrouting"},
	}
)

type namedPriority struct {
	name  string
	value int32
	hooks string // where it has that name; empty for all
}

// priorityText writes a priority, by the nearest that has a name if it is near.
func priorityText(family, hook string, p int32) string {
	list := priorities
	switch family {
	case "bridge":
		list = bridgePriorities
	case "arp", "netdev":
		list = []namedPriority{{"filter", 0, ""}}
	}
	for _, n := range list {
		if n.hooks != "" && !slices.Contains(strings.Fields(n.hooks), hook) {
			continue
		}
		off := int64(p) - int64(n.value)
		switch {
		case off == 0:
			return n.name
		case off >= -10 && off < 0:
			return fmt.Sprintf("%s - %d", n.name, -off)
		case off > 0 && off <= 10:
			return fmt.Sprintf("%s + %d", n.name, off)
		}
	}
	return fmt.Sprint(p)
}

// JSON returns the table and all that is in it as the list nftables of nft -j list ruleset has
// them.
func (t *Table) JSON() []any {
	table := object{"family": t.Family, "name": t.Name, "handle": t.Handle}
	if len(t.Flags) > 0 {
		table["flags"] = flagsJSON(t.Flags)
	}
	if t.Comment != "" {
		table["comment"] = t.Comment
	}
	all := []any{object{"table": table}}
	for _, o := range t.Objects {
		all = append(all, o.json(t))
	}
	for _, s := range t.Sets {
		all = append(all, s.json(t))
	}
	for _, f := range t.Flowtables {
		all = append(all, object{"flowtable": object{
			"family": t.Family, "name": f.Name, "table": t.Name, "handle": f.Handle, "hook": f.Hook, "prio": f.Priority, "dev": flagsJSON(f.Devices),
		}})
	}
	for _, c := range t.Chains {
		all = append(all, c.json(t))
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			js := object{"family": t.Family, "table": t.Name, "chain": c.Name, "handle": r.Handle, "expr": r.Statements}
			if r.Comment != "" {
				js["comment"] = r.Comment
			}
			all = append(all, object{"rule": js})
		}
	}
	return all
}

func (o *Object) json(t *Table) any {
	js := object{"family": t.Family, "name": o.Name, "table": t.Name, "handle": o.Handle}
	maps.Copy(js, o.Values)
	if o.Comment != "" {
		js["comment"] = o.Comment
	}
	return object{o.Kind: js}
}

func (s *Set) json(t *Table) any {
	js := object{"family": t.Family, "name": s.Name, "table": t.Name, "handle": s.Handle, "type": typeNames(s.keys)}
	kind := "set"
	if s.Map {
		kind = "map"
		js["map"] = s.Data
	}
	if len(s.Flags) > 0 {
		js["flags"] = anyList(s.Flags)
	}
	if s.Size != 0 {
		js["size"] = s.Size
	}
	if s.Timeout != 0 {
		js["timeout"] = s.Timeout / 1000
	}
	if s.AutoMerge {
		js["auto-merge"] = true
	}
	if s.GC != 0 {
		js["gc-interval"] = s.GC / 1000
	}
	if s.Policy != "" {
		js["policy"] = s.Policy
	}
	if s.Comment != "" {
		js["comment"] = s.Comment
	}
	if len(s.stmts) > 0 {
		js["stmt"] = definitions(s.stmts)
	}
	if len(s.Elements) > 0 {
		elems := make([]any, len(s.Elements))
		for i, e := range s.Elements {
			elems[i] = e.Value
		}
		js["elem"] = elems
	}
	return object{kind: js}
}

// definitions returns the statements that each element of a set has, a counter without its
// counts.
func definitions(stmts []node) []any {
	list := jsonList(stmts)
	for i, s := range list {
		if m, ok := s.(object); ok && m["counter"] != nil {
			list[i] = object{"counter": nil}
		}
	}
	return list
}

func typeNames(types []*dataType) any {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.name
	}
	return flagsJSON(names)
}

func (c *Chain) json(t *Table) any {
	js := object{"family": t.Family, "table": t.Name, "name": c.Name, "handle": c.Handle}
	if c.Hook != "" {
		js["type"], js["hook"], js["prio"], js["policy"] = c.Type, c.Hook, c.Priority, c.Policy
		if len(c.Devices) > 0 {
			js["dev"] = flagsJSON(c.Devices)
		}
	}
	if c.Comment != "" {
		js["comment"] = c.Comment
	}
	return object{"chain": js}
}
