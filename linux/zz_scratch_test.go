package linux

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sort"
	"testing"

	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/vmem"
)

func TestZZ(t *testing.T) {
	f, err := kcore.Open(os.Getenv("ZZ"))
	if err != nil {
		t.Skip(err)
	}
	k, err := Open(context.Background(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := k.Pages()
	if err != nil {
		t.Fatal(err)
	}
	type cnt struct{ n, zero int }
	counts := map[string]*cnt{}
	add := func(s string, z bool) {
		c := counts[s]
		if c == nil {
			c = &cnt{}
			counts[s] = c
		}
		c.n++
		if z {
			c.zero++
		}
	}
	classes := make([]kcore.PageClass, 4096)
	page := make([]byte, 4096)
	zero := make([]byte, 4096)
	refc := field(52)
	for _, r := range f.Ranges() {
		for at := (r.Start + 0xfff) &^ 0xfff; at+0xfff <= r.Last(); {
			n := min(len(classes)-int(at>>12)%len(classes), int(r.Last()+1-at)>>12)
			if err := p.ClassifyPages(classes[:n], at); err == nil {
				buf := make([]byte, uint64(n)*p.layout.size)
				p.space.ReadVirt(buf, p.pageOf(at))
				s := pageArray{Pages: p, first: at, data: buf}
				for i, c := range classes[:n] {
					f.ReadAt(page, int64(at)+int64(i)*4096)
					z := bytes.Equal(page, zero)
					add(c.String(), z)
					if c == kcore.PageOther {
						head, ok := s.headOf(i)
						if !ok {
							add("other/nohead", z)
							continue
						}
						flags, typ, rc, mp := s.u64(head, p.layout.flags), s.u32(head, p.layout.typ), s.u32(head, refc), s.u64(head, p.layout.mapping)
						key := "other"
						switch {
						case flags&p.flags.reserved != 0:
							key += "/reserved"
						case rc == 0:
							key += fmt.Sprintf("/ref0 typ %x", typ>>24)
						default:
							key += fmt.Sprintf("/ref lru %v head %v map %v priv %v typ %x", flags&p.flags.lru != 0, flags&p.flags.head != 0, mp != 0, flags&p.flags.private != 0, typ>>24)
						}
						add(key, z)
					}
					_ = binary.LittleEndian
				}
			} else {
				for range n {
					add("no struct page", false)
				}
			}
			at += vmem.PhysAddr(n) * 0x1000
		}
	}
	var names []string
	for s := range counts {
		names = append(names, s)
	}
	sort.Strings(names)
	for _, s := range names {
		fmt.Printf("%-70s %7d pages %7.1f MiB  zero %6.1f MiB\n", s, counts[s].n, float64(counts[s].n)/256, float64(counts[s].zero)/256)
	}
}
