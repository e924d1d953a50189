package module

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A modStruct is struct module (include/linux/module.h).
type modStruct struct {
	State uint32        `kernel:"state"`
	Name  [64]byte      `kernel:"name"` // MODULE_NAME_LEN, 56
	Self  vmem.VirtAddr `kernel:"mkobj.mod"`
	Core  modLayout     `kernel:"core_layout,optional"` // until 6.3
	Init  modLayout     `kernel:"init_layout,optional"`
	Mem   [7]modMemory  `kernel:"mem,optional"` // since 6.4 (ac3b43283923)
}

// A modLayout is struct module_layout: one area in which code, data that is only read, what is
// that after initialisation, and other data follow each other.
type modLayout struct {
	Base        vmem.VirtAddr `kernel:"base"`
	Size        uint32        `kernel:"size"`
	Text        uint32        `kernel:"text_size"`
	ReadOnly    uint32        `kernel:"ro_size"`
	ReadOnlyEnd uint32        `kernel:"ro_after_init_size"`
}

// A modMemory is struct module_memory.
type modMemory struct {
	Base vmem.VirtAddr `kernel:"base"`
	Size uint32        `kernel:"size"`
}

// A modSymbols is what struct module has of symbols.
type modSymbols struct {
	Kallsyms   vmem.VirtAddr `kernel:"kallsyms"`
	Exports    vmem.VirtAddr `kernel:"syms"`
	NumExports uint32        `kernel:"num_syms"`
	GPL        vmem.VirtAddr `kernel:"gpl_syms,optional"` // before 7.2, where flagstab says it
	NumGPL     uint32        `kernel:"num_gpl_syms,optional"`
	Flags      vmem.VirtAddr `kernel:"flagstab,optional"`
}

// A modKallsyms is struct mod_kallsyms.
type modKallsyms struct {
	Symbols vmem.VirtAddr `kernel:"symtab"`
	Count   uint32        `kernel:"num_symtab"`
	Strings vmem.VirtAddr `kernel:"strtab"`
	Types   vmem.VirtAddr `kernel:"typetab"` // since 5.2
}

// An exported is struct kernel_symbol with CONFIG_HAVE_ARCH_PREL32_RELOCATIONS, which x86-64 has
// had since 4.19: each number is a distance from where it stands.
type exported struct {
	Value int32 `kernel:"value_offset"`
	Name  int32 `kernel:"name_offset"`
}

// views are what modules are read with. Each group fails by itself.
type views struct {
	module *kstruct.View[modStruct]
	err    error

	symbols    *kstruct.View[modSymbols]
	kallsyms   *kstruct.View[modKallsyms]
	symbolsErr error

	export    *kstruct.View[exported]
	valueAt   kstruct.Member // where the distances stand
	nameAt    kstruct.Member
	exportErr error

	btf      btfViews
	details  detailViews
	sections sectionViews
	params   paramViews
	sources  sourceViews
}

func bindViews(types *isf.File) *views {
	v := new(views)
	b := kstruct.NewBinder(types)
	v.module = kstruct.Bind[modStruct](b, "module")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.symbols = kstruct.Bind[modSymbols](b, "module")
	v.kallsyms = kstruct.Bind[modKallsyms](b, "mod_kallsyms")
	v.symbolsErr = b.Err()
	b = kstruct.NewBinder(types)
	v.export = kstruct.Bind[exported](b, "kernel_symbol")
	v.valueAt = kstruct.BindMember(b, "kernel_symbol", "value_offset")
	v.nameAt = kstruct.BindMember(b, "kernel_symbol", "name_offset")
	v.exportErr = b.Err()
	v.btf = bindBTF(types)
	v.details = bindDetails(types)
	v.sections = bindSections(types)
	v.params = bindParams(types)
	v.sources = bindSources(types)
	return v
}
