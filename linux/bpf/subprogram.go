package bpf

import (
	"encoding/hex"
	"strconv"

	"github.com/nodelens/nodelens/vmem"
)

func formatID(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// A subprogram is a function of a program that is compiled by itself: another struct bpf_prog.
type subprogram struct {
	at  vmem.VirtAddr
	raw progStruct
	aux auxStruct
}

// readFunctions reads the functions of a program that has several, and their names.
func (s *Set) readFunctions(p *Program, object string) {
	if n := p.aux.NumFuncs; n > maxFuncs {
		s.lose("functions of "+object, p.raw.Aux, corrupt("%d functions", n))
		return
	}
	if p.aux.NumFuncs > 0 {
		p.JITedBytes = 0
	}
	v := &s.views.progs
	for i := range vmem.VirtAddr(p.aux.NumFuncs) {
		f := new(subprogram)
		at, err := s.mem.Uint64(p.aux.Funcs + i*8)
		f.at = vmem.VirtAddr(at)
		if err == nil {
			err = v.prog.Read(s.mem, f.at, &f.raw)
		}
		if err == nil {
			err = v.aux.Read(s.mem, f.raw.Aux, &f.aux)
		}
		if err != nil {
			s.lose("functions of "+object, p.aux.Funcs, err)
			return
		}
		p.funcs = append(p.funcs, f)
		p.JITedBytes += int(f.raw.JITedLen)
		s.subprograms[f.at] = p
	}
	names := s.functionNames(p, object)
	if len(p.funcs) == 0 && len(names) > 0 {
		p.Functions = []Function{{Name: names[0], Tag: p.Tag, Entry: p.Entry, Bytes: p.JITedBytes}}
	}
	for i, f := range p.funcs {
		name := cString(f.aux.Ksym.Name[:])
		if i < len(names) {
			name = names[i]
		}
		p.Functions = append(p.Functions, Function{Name: name, Tag: hex.EncodeToString(f.raw.Tag[:]), Entry: f.raw.Func, Bytes: int(f.raw.JITedLen)})
	}
	if len(names) > 0 {
		p.FullName = names[0]
	}
}

// functionNames returns the names that BTF has of a program's functions (struct bpf_func_info), nil
// where there is none.
func (s *Set) functionNames(p *Program, object string) []string {
	if p.aux.BTF == 0 || p.aux.NumInfo == 0 {
		return nil
	}
	if p.aux.NumInfo > maxFuncs {
		s.lose("names of functions of "+object, p.aux.FuncInfo, corrupt("%d functions", p.aux.NumInfo))
		return nil
	}
	var names []string
	for i := range vmem.VirtAddr(p.aux.NumInfo) {
		id, err := s.mem.Uint32(p.aux.FuncInfo + i*8 + 4)
		name := ""
		if err == nil {
			name, err = s.typeName(p.aux.BTF, id)
		}
		if err != nil {
			s.lose("names of functions of "+object, p.aux.FuncInfo, err)
			return names
		}
		names = append(names, name)
	}
	return names
}
