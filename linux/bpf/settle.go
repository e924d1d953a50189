package bpf

import (
	"cmp"
	"maps"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// readUsed adds the maps that programs use, also those that the table of IDs lacks.
func (s *Set) readUsed() {
	for i := range s.programs {
		for _, at := range s.programs[i].maps {
			s.addMap(at, InPrograms)
		}
	}
}

// settle joins what was found.
func (s *Set) settle() {
	s.readUsed() // of programs that attachments led to
	s.dropSubprograms()
	for i := range s.images {
		m := &s.images[i]
		if p := cmp.Or(s.subprograms[m.prog], s.byAddr[m.prog]); p != nil {
			m.Program = p.ID
		}
	}
	s.settlePrograms()
	s.settleLinks()
	s.settleMaps()
	s.settleBTFs()
	s.settleHidden()
}

// dropSubprograms leaves out functions that were met before the program whose they are.
func (s *Set) dropSubprograms() {
	for at := range maps.Keys(s.subprograms) {
		if p := s.byAddr[at]; p != nil && p.raw.IsFunc {
			delete(s.byAddr, at)
		}
	}
	s.programs = slices.DeleteFunc(s.programs, func(p *Program) bool { return s.byAddr[p.Address] != p })
}

func (s *Set) settlePrograms() {
	for _, p := range s.programs {
		s.readHelpers(p)
		for _, at := range p.maps {
			if m := s.mapAt[at]; m != nil {
				p.Maps = append(p.Maps, m.ID)
			}
		}
		sortOwners(p.Owners)
		slices.Sort(p.Pins)
		slices.Sort(p.Links)
	}
	slices.SortStableFunc(s.programs, func(a, b *Program) int {
		return cmp.Or(cmp.Compare(a.ID-1, b.ID-1), cmp.Compare(a.Address, b.Address)) // 0 comes last
	})
}

func (s *Set) settleMaps() {
	for _, p := range s.programs {
		for _, at := range p.maps {
			if m := s.mapAt[at]; m != nil && p.ID != 0 {
				m.Programs = append(m.Programs, p.ID)
			}
		}
	}
	for _, m := range s.maps { // a map of which all programs are is not searched for each
		slices.Sort(m.Programs)
		m.Programs = slices.Compact(m.Programs)
		sortOwners(m.Owners)
		slices.Sort(m.Pins)
	}
	for _, l := range s.links {
		sortOwners(l.Owners)
		slices.Sort(l.Pins)
	}
	slices.SortStableFunc(s.maps, func(a, b *Map) int {
		return cmp.Or(cmp.Compare(a.ID-1, b.ID-1), cmp.Compare(a.Address, b.Address))
	})
}

// settleHidden says what the tables of IDs lack though it is alive. What is being freed has no ID and
// no references any more, and programs of classic BPF, functions of programs and links that the kernel made for itself never had
// one.
func (s *Set) settleHidden() {
	for _, p := range s.programs {
		p.Hidden = s.whole[progIDR] && p.Sources&InIDR == 0 && (p.References > 0 || p.raw.IsFunc) && !p.classic
	}
	templates := map[vmem.VirtAddr]bool{} // maps that are only the pattern of those that are in another one
	for _, m := range s.maps {
		templates[m.raw.Inner] = true
	}
	for _, m := range s.maps {
		m.Hidden = s.whole[mapIDR] && m.Sources&InIDR == 0 && m.References > 0 && !templates[m.Address]
	}
	for _, l := range s.links {
		l.Hidden = s.whole[linkIDR] && l.Sources&InIDR == 0 && l.References > 0 && l.ID != 0
	}
}
