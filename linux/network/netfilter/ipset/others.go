package ipset

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

type bitmapPort struct {
	Members vmem.VirtAddr `kernel:"members"`
	First   uint16        `kernel:"first_port"`
	Last    uint16        `kernel:"last_port"`
	Count   uint32        `kernel:"elements"`
	Ext     vmem.VirtAddr `kernel:"&extensions"`
}

type bitmapIP struct {
	Members vmem.VirtAddr `kernel:"members"`
	First   uint32        `kernel:"first_ip"`
	Last    uint32        `kernel:"last_ip"`
	Count   uint32        `kernel:"elements"`
	Hosts   uint32        `kernel:"hosts"`
	Ext     vmem.VirtAddr `kernel:"&extensions"`
}

// bitmap reads a set that is a bit for each port or address.
func (r *reader) bitmap(s *Set, raw *setStruct) error {
	switch s.Type {
	case "bitmap:port":
		v, err := nfkit.Bind[bitmapPort](r.src, "bitmap_port", "ip_set_bitmap_port")
		if err != nil {
			return err
		}
		m, err := v.Load(r.src.Mem(), raw.Data)
		if err != nil {
			return err
		}
		s.Header = fmt.Sprintf("range %d-%d", m.First, m.Last)
		return r.bits(s, raw, m.Members, m.Ext, m.Count, func(i uint32) string { return fmt.Sprint(uint32(m.First) + i) })
	case "bitmap:ip":
		v, err := nfkit.Bind[bitmapIP](r.src, "bitmap_ip", "ip_set_bitmap_ip")
		if err != nil {
			return err
		}
		m, err := v.Load(r.src.Mem(), raw.Data)
		if err != nil {
			return err
		}
		s.Header = fmt.Sprintf("range %v-%v", addr4(m.First), addr4(m.Last))
		return r.bits(s, raw, m.Members, m.Ext, m.Count, func(i uint32) string { return addr4(m.First + i*max(m.Hosts, 1)).String() })
	}
	return fmt.Errorf("%w: sets of the type %s", kstruct.ErrUnsupported, s.Type)
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// bits reads the elements of a bitmap.
func (r *reader) bits(s *Set, raw *setStruct, members, ext vmem.VirtAddr, n uint32, name func(uint32) string) error {
	if n > 1<<16 {
		return nfkit.Corrupt("a bitmap of %d elements", n)
	}
	if !nfkit.Plausible(members) {
		return nfkit.Pointer("bitmap members", members)
	}
	b, err := r.src.Bytes(members, int(n+7)/8)
	if err != nil {
		return err
	}
	for i := range n {
		if b[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		if r.left--; r.left < 0 {
			return fmt.Errorf("%w: more than %d elements", kstruct.ErrTooMany, maxElements)
		}
		e := Element{Value: name(i)}
		live, err := r.addExtensions(&e, raw, ext+vmem.VirtAddr(uint64(i)*min(raw.Size, 1024)))
		if live {
			s.Elements = append(s.Elements, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lists reads a set of sets.
func (r *reader) lists(s *Set, raw *setStruct) error {
	const mod = "ip_set_list_set"
	types, lost := r.src.Types("list_set", mod)
	b := kstruct.NewBinder(types)
	size := kstruct.BindField[uint32](b, "list_set", "size")
	members := kstruct.BindMember(b, "list_set", "members")
	node := kstruct.BindMember(b, "set_elem", "list")
	id := kstruct.BindField[uint16](b, "set_elem", "id")
	if err := b.Err(); err != nil {
		return cmp.Or(lost, err)
	}
	n, err := size.Load(r.src.Mem(), raw.Data)
	if err != nil {
		return err
	}
	s.Header = fmt.Sprint("size ", n)
	w := r.src.Walk(r.ctx, r.object(), 1<<16, setModule)
	for at, err := range w.List(members.Of(raw.Data)) {
		if err != nil {
			r.tell(nil, err)
			continue
		}
		at = node.Container(at)
		index, err := id.Load(r.src.Mem(), at)
		if err != nil {
			r.lose(at, err)
			continue
		}
		if r.left--; r.left < 0 {
			return fmt.Errorf("%w: more than %d elements", kstruct.ErrTooMany, maxElements)
		}
		e := Element{Value: r.setName(index)}
		live, err := r.addExtensions(&e, raw, at)
		r.lose(at, err)
		if live {
			s.Elements = append(s.Elements, e)
		}
	}
	return nil
}

// setName returns the name of the set of a number.
func (r *reader) setName(index uint16) string {
	at, err := r.src.Generic(r.ns.Addr, setModule, "ip_set_net_id", r.isNet)
	if err == nil && at != 0 {
		if list, n, err := r.array(at); err == nil && int(index) < n {
			set, _ := r.src.Mem().Uint64(list + vmem.VirtAddr(8*int(index)))
			if s, err := r.set.Load(r.src.Mem(), vmem.VirtAddr(set)); err == nil {
				return nfkit.Text(s.Name[:])
			}
		}
	}
	return fmt.Sprint("#", index)
}
