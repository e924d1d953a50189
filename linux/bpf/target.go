package bpf

import "github.com/nodelens/nodelens/vmem"

// readTarget reads which function, type or program a program was loaded for.
func (s *Set) readTarget(p *Program, object string) {
	if p.aux.BTFID == 0 {
		return
	}
	t := &Target{Type: p.aux.BTFID}
	var btf vmem.VirtAddr
	var err error
	switch {
	case p.aux.Target != 0:
		if target := s.addProgram(p.aux.Target, InPrograms); target != nil {
			t.Program, btf = target.ID, target.aux.BTF
		}
	case s.views.progs.aux.Has("AttachBTF"):
		btf = p.aux.AttachBTF
	default: // until 5.10 it was always the kernel's
		if at, ok := s.symbol("btf_vmlinux"); ok {
			btf, err = s.ptr(at)
		}
	}
	if b := s.addBTF(btf, InPrograms); b != nil {
		t.BTF = b.ID
		if b.Kernel && b.Name != "vmlinux" {
			t.Module = b.Name
		}
		if err == nil {
			t.Name, err = s.typeName(btf, t.Type)
		}
	}
	if t.Name == "" && p.aux.FuncName != 0 {
		t.Name, err = s.mem.CString(p.aux.FuncName, maxTypeName)
	}
	if err != nil {
		s.lose("target of "+object, p.raw.Aux, err)
	}
	p.Target = t
}
