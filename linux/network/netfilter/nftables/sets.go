package nftables

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

// The flags of sets: enum nft_set_flags.
const (
	setAnonymous = 1 << iota
	setConstant
	setInterval
	setMap
	setTimeout
	setEval
	setObject
	setConcat
	setExpr
)

const dataVerdict = 0xffffff00 // NFT_DATA_VERDICT

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// readSets reads the sets of a table that have names of their own.
func (r *reader) readSets(t *Table, head vmem.VirtAddr) {
	for at, err := range r.entries(head, "nft_set") {
		if err != nil {
			r.lose(at, err)
			continue
		}
		if !r.spend(at) {
			return
		}
		s, err := r.setAt(t, at)
		if err != nil {
			r.lose(at, err)
			continue
		}
		if !s.anonymous && r.active(uint64(s.raw.Genmask)) && !s.raw.Dead {
			t.Sets = append(t.Sets, s)
		}
	}
}

// setAt reads the set at addr, once.
func (r *reader) setAt(t *Table, at vmem.VirtAddr) (*Set, error) {
	if s, ok := r.sets[at]; ok {
		if s == nil {
			return nil, nfkit.Corrupt("set %v could not be read", at)
		}
		return s, nil
	}
	r.sets[at] = nil
	if !nfkit.Plausible(at) {
		return nil, nfkit.Pointer("nft_set", at)
	}
	raw, err := r.v.set.Load(r.src.Mem(), at)
	if err != nil {
		return nil, err
	}
	if raw.Table != t.Addr {
		return nil, nfkit.Corrupt("nft_set %v is of the table %v", at, raw.Table)
	}
	s := &Set{Handle: raw.Handle, Addr: at, raw: &raw, anonymous: raw.Flags&setAnonymous != 0, Map: raw.Flags&(setMap|setObject) != 0, Size: raw.Size}
	if s.Name, err = r.name("set", raw.Name); err != nil {
		return nil, err
	}
	r.describe(t, s)
	r.sets[at] = s // before its elements are read, which may lead to chains that refer to it
	r.readElements(t, s)
	return s, nil
}

// describe sets what a set is of.
func (r *reader) describe(t *Table, s *Set) {
	raw := s.raw
	s.keys = splitTypes(raw.Key)
	if len(s.keys) == 0 {
		s.keys = []*dataType{typeInteger}
	}
	s.Type = joinTypes(s.keys)
	switch {
	case raw.Flags&setObject != 0:
		s.Data = objectKind(raw.Object)
	case raw.Flags&setMap != 0 && raw.DataTyp == dataVerdict:
		s.Data, s.datas = "verdict", []*dataType{typeVerdict}
	case raw.Flags&setMap != 0:
		if s.datas = splitTypes(raw.DataTyp); len(s.datas) == 0 {
			s.datas = []*dataType{typeInteger}
		}
		s.Data = joinTypes(s.datas)
	}
	for _, f := range []struct {
		bit  uint16
		name string
	}{{setConstant, "constant"}, {setEval, "dynamic"}, {setInterval, "interval"}, {setTimeout, "timeout"}} {
		if raw.Flags&f.bit != 0 && !s.anonymous {
			s.Flags = append(s.Flags, f.name)
		}
	}
	if r.timeErr == nil {
		s.Timeout = r.jiffies.Ticks(raw.Timeout).Milliseconds()
	}
	if raw.GC != 0 && !s.anonymous {
		s.GC = raw.GC
	}
	if raw.Policy == 1 {
		s.Policy = "memory"
	}
	data := r.userData(s.Addr, raw.Data, int(raw.DataLen))
	s.Comment = text(data[7])
	s.AutoMerge = len(data[2]) == 4 && !isZero(data[2])
	s.keys = ordered(s.keys, data[0])
	s.datas = ordered(s.datas, data[1])
	s.keys, s.Typeof = declare(s.keys, typeofs(data[3]))
	if s.Data != typeVerdict.name && raw.Flags&setObject == 0 {
		s.datas, s.DataTypeof = declare(s.datas, typeofs(data[4]))
	}
	s.stmts = r.setStmts(t, s)
}

// ordered gives numbers the byte order that nft keeps beside a set.
func ordered(types []*dataType, order []byte) []*dataType {
	if len(types) != 1 || types[0] != typeInteger || len(order) != 4 {
		return types
	}
	return []*dataType{{name: typeInteger.name, big: binary.LittleEndian.Uint32(order) == 2}}
}

func (r *reader) userData(owner, at vmem.VirtAddr, n int) map[byte][]byte {
	if at == 0 || n == 0 {
		return nil
	}
	b, err := r.src.Bytes(at, n)
	if err != nil {
		r.lose(owner, fmt.Errorf("user data: %w", err))
		return nil
	}
	return userData(b)
}

// setStmts reads the statements that each element of a set has.
func (r *reader) setStmts(t *Table, s *Set) []node {
	if s.raw.Expr != 0 {
		return r.stmtsAt(t, []vmem.VirtAddr{s.raw.Expr})
	}
	if !r.v.numExprs.Ok() || !r.v.setExprs.Ok() {
		return nil
	}
	n, err := r.v.numExprs.Load(r.src.Mem(), s.Addr)
	if err != nil {
		r.lose(s.Addr, err)
		return nil
	}
	var at []vmem.VirtAddr
	for i := range min(uint64(n), r.v.setExprs.Count()) {
		e, err := r.src.Mem().Uint64(r.v.setExprs.Of(s.Addr) + vmem.VirtAddr(8*i))
		if err != nil {
			r.lose(s.Addr, err)
			return nil
		}
		at = append(at, vmem.VirtAddr(e))
	}
	return r.stmtsAt(t, at)
}

// An elem is an element as the kernel has it.
type elem struct {
	key, end []byte
	last     bool // it ends the interval before it
	all      bool // it stands for all that no other does
	data     []byte
	object   vmem.VirtAddr
	timeout  int64 // ms, -1 where it has none of its own
	expires  int64 // ms, -1 where it does not expire
	comment  string
	stmts    []node
}

// readElements reads the elements of a set and writes them in the order of nft.
func (r *reader) readElements(t *Table, s *Set) {
	var elems []*elem
	for at, err := range r.elements(s) {
		if err != nil {
			r.lose(s.Addr, fmt.Errorf("set %s: %w", s.Name, err))
			continue
		}
		if !r.spend(s.Addr) {
			break
		}
		e, err := r.element(t, s, at)
		if err != nil {
			r.lose(at, fmt.Errorf("set %s: %w", s.Name, err))
		}
		if e != nil {
			elems = append(elems, e)
		}
	}
	if s.Backend == "rbtree" {
		elems = r.intervals(s, elems)
	}
	for _, e := range elems {
		out, err := r.write(t, s, e)
		if err != nil {
			r.lose(s.Addr, fmt.Errorf("set %s: %w", s.Name, err))
			continue
		}
		s.Elements = append(s.Elements, out)
	}
	slices.SortStableFunc(s.Elements, func(a, b Element) int { return bytes.Compare(a.sort, b.sort) })
}

// intervals joins the beginnings and ends of intervals, by key.
func (r *reader) intervals(s *Set, elems []*elem) (out []*elem) {
	slices.SortStableFunc(elems, func(a, b *elem) int {
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		switch { // an end before what begins there
		case a.last == b.last:
			return 0
		case a.last:
			return -1
		}
		return 1
	})
	var begin *elem
	for _, e := range elems {
		switch {
		case e.all:
			out = append(out, e)
		case e.last && begin != nil:
			begin.end = before(e.key)
			begin = nil
		case e.last: // nft marks what comes before the first interval so
		default:
			if begin != nil { // what begins right behind it ends it
				begin.end = before(e.key)
			}
			begin = e
			out = append(out, e)
		}
	}
	if begin != nil { // up to the last value there is
		begin.end = bytes.Repeat([]byte{0xff}, len(begin.key))
	}
	return out
}

// before returns the number before b.
func before(b []byte) []byte {
	b = slices.Clone(b)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]--
		if b[i] != 0xff {
			break
		}
	}
	return b
}

// write writes an element.
func (r *reader) write(t *Table, s *Set, e *elem) (Element, error) {
	key := r.keyNode(s, e)
	out := Element{Key: key.text(), sort: sortKey(s, e)}
	words, js := key.text(), object{"val": key.json()}
	for _, st := range e.stmts {
		words += " " + st.text()
		if m, ok := st.json().(object); ok {
			maps.Copy(js, m)
		}
	}
	if e.timeout >= 0 && e.timeout != s.Timeout {
		words += " timeout " + durationText(e.timeout)
		js["timeout"] = e.timeout / 1000
	}
	if e.expires >= 0 {
		words += " expires " + durationText(e.expires)
		js["expires"] = e.expires / 1000
	}
	if e.comment != "" {
		words += " comment " + quote(e.comment)
		js["comment"] = e.comment
	}
	n := key
	if len(js) > 1 {
		n = &phrase{words, object{"elem": js}}
	}
	data, err := r.dataNode(t, s, e)
	if err != nil {
		return out, err
	}
	if data != nil {
		out.Data = data.text()
		n = &pair{n, data}
	}
	out.node, out.Text, out.Value = n, n.text(), n.json()
	return out, nil
}

// sortKey is what nft sorts an element by: its key as a number. Strings, what has the order of
// the machine and what is joined count as such from behind.
func sortKey(s *Set, e *elem) []byte {
	if e.all {
		return bytes.Repeat([]byte{0xff}, 65)
	}
	if len(s.keys) > 1 && s.raw.Flags&setInterval != 0 { // these stay as the kernel has them
		return nil
	}
	key := slices.Clone(e.key)
	if len(s.keys) > 1 {
		key = key[:0]
		for i, off := 0, 0; i < len(s.keys); i++ {
			n := fieldLen(s, i, len(e.key)-off)
			key = append(key, e.key[off:min(off+n, len(e.key))]...)
			off = min(off+(n+3)&^3, len(e.key))
		}
	}
	if len(s.keys) > 1 || !s.keys[0].big {
		slices.Reverse(key)
	}
	return key
}

// fieldLen returns the length of one of the fields of a joined key.
func fieldLen(s *Set, i, left int) int {
	if int(s.raw.Fields) == len(s.keys) && s.raw.Fields > 1 {
		return min(int(s.raw.Lens[i]), left)
	}
	if n := s.keys[i].size; n > 0 {
		return min(n, left)
	}
	rest := left
	for _, t := range s.keys[i+1:] {
		rest -= max(4, (t.size+3)&^3)
	}
	return max(min(rest, left), 0)
}

// keyNode writes the key of an element.
func (r *reader) keyNode(s *Set, e *elem) node {
	if e.all {
		return &phrase{"*", "*"}
	}
	if len(s.keys) == 1 {
		return r.valueNode(s.keys[0], e.key, e.end, s.raw.Flags&setInterval != 0)
	}
	var parts []node
	key, end := e.key, e.end
	for i, t := range s.keys {
		n := fieldLen(s, i, len(key))
		var to []byte
		if len(end) == len(key) {
			to = end[:n]
		}
		parts = append(parts, r.valueNode(t, key[:n], to, true))
		step := min((n+3)&^3, len(key))
		key = key[step:]
		if len(end) > 0 {
			end = end[min(step, len(end)):]
		}
	}
	return &nodes{parts}
}

// A nodes is joined parts of a key.
type nodes struct{ parts []node }

func (c *nodes) text() string { return joinText(c.parts, " . ") }
func (c *nodes) json() any    { return object{"concat": jsonList(c.parts)} }

// valueNode writes one value, or a range of them as a prefix where it is one of addresses.
func (r *reader) valueNode(t *dataType, from, to []byte, interval bool) node {
	// What is kept as intervals is in network order.
	big := t.big || interval && to != nil
	v := &value{data: from, order: big, dt: t}
	if to == nil || bytes.Equal(from, to) {
		if t == typeIfindex {
			return r.deviceNode(v)
		}
		return v
	}
	if n, ok := commonPrefix(from, to); ok && (t == typeIP || t == typeIP6 || t == typeMark) {
		return &prefix{v, n}
	}
	if n, ok := commonPrefix(from, to); ok && t == typeIfname && n%8 == 0 {
		return &phrase{quote(string(from[:n/8]) + "*"), string(from[:n/8]) + "*"}
	}
	return &span{v, &value{data: to, order: big, dt: t}}
}

// dataNode writes what a map has for an element, nil where it is a set.
func (r *reader) dataNode(t *Table, s *Set, e *elem) (node, error) {
	switch {
	case !s.Map:
		return nil, nil //nolint:nilnil // sets have none
	case s.raw.Flags&setObject != 0:
		name, _, err := r.objectName(e.object)
		return &phrase{quote(name), name}, err
	case s.Data == "verdict":
		if len(e.data) < 16 {
			return nil, nfkit.Corrupt("an element without a verdict")
		}
		return r.verdictOf(t, e.data)
	case len(s.datas) == 1:
		return &value{data: e.data, order: s.datas[0].big, dt: s.datas[0]}, nil
	}
	var parts []node
	data := e.data
	for _, dt := range s.datas {
		n := min(max(dt.size, 1), len(data))
		if dt.size == 0 {
			n = min(4, len(data))
		}
		parts = append(parts, &value{data: data[:n], order: dt.big, dt: dt})
		data = data[min((n+3)&^3, len(data)):]
	}
	return &nodes{parts}, nil
}

// join writes names with commas.
func join(names []string) string { return strings.Join(names, ",") }
