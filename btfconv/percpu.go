package btfconv

import "encoding/binary"

// perCPUSection is the section that BTF lists the variables of.
const perCPUSection = ".data..percpu"

// fromPerCPU adds the variables that there is one of for each processor. BTF has
// their names and where they are in their section; one whose address is known, as
// several are exported, tells where the section is: at 0 to 6.14. Since then nothing but
// the bounds of the section tells such variables from others, so they are added too.
func (f *finder) fromPerCPU() {
	vars, size := perCPUVariables(f.btf)
	votes := map[uint64]int{}
	base, known := uint64(0), 0
	for _, v := range vars {
		if va, ok := f.find(v.name); ok {
			known++
			votes[va-v.addr]++
			if votes[va-v.addr] > votes[base] {
				base = va - v.addr
			}
		}
	}
	if known == 0 || votes[base] <= known/2 { // a name may be that of another variable too
		return
	}
	const by = "the per-CPU section of BTF"
	for _, v := range vars {
		f.found(v.name, base+v.addr, by)
	}
	if base != 0 {
		f.found("__per_cpu_start", base, by)
		f.found("__per_cpu_end", base+size, by)
	}
}

// perCPUVariables returns the variables of the per-CPU section, with offsets in
// it for addresses, and the size of the section.
func perCPUVariables(t *btfTypes) (vars []kernelSymbol, size uint64) {
	for i := range t.offsets {
		r := t.at(i)
		if r.kind != kindDatasec || t.string(r.name) != perCPUSection {
			continue
		}
		size = max(size, uint64(r.size))
		for k := range r.vlen {
			b := r.extra[12*k:]
			v, _ := t.lookup(binary.LittleEndian.Uint32(b))
			if v.kind != kindVar || t.badMember(&r, k) || t.name(v.name) == "" { // lost
				continue
			}
			off, n := uint64(binary.LittleEndian.Uint32(b[4:])), uint64(binary.LittleEndian.Uint32(b[8:]))
			vars = append(vars, kernelSymbol{name: t.string(v.name), addr: off})
			size = max(size, off+n)
		}
	}
	return vars, size
}
