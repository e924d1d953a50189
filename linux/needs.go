package linux

import (
	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
)

// anchors are the symbols that this package starts from, beside those of
// [btfconv.WantedSymbols].
var anchors = []string{
	"_text", "_stext", "_etext", "_end", "__start_rodata", "__end_rodata", "_sdata", "_edata", "__bss_start", "__bss_stop",
	"iomem_resource", "boot_params", "special_mapping_name", "swap_info", "sme_me_mask", "__per_cpu_start", "__per_cpu_end",
	"swapper_pg_dir", "init_level4_pgt", "level2_kernel_pgt", "level3_kernel_pgt", "level4_kernel_pgt", "__pgtable_l5_enabled",
	"worker_pool_idr",
}

// Needs looks up in types all that this package may look up, and returns what was there: the
// types, with the members, and the symbols that a small copy of types must have to be as
// good as they are. See package layouts.
func Needs(types *isf.File) *isf.Usage {
	var u isf.Usage
	rec := types.Recorded(&u)
	newViews(rec)
	_, _ = bindPages(rec)
	bindFolio(rec)
	_, _ = newPageFlags(rec)
	newPageTypes(rec)
	swapTypes(rec)
	kstruct.ResolveContainers(rec)
	for _, name := range anchors {
		_, _ = rec.Symbol(name)
	}
	for _, name := range btfconv.WantedSymbols() {
		_, _ = rec.Symbol(name)
	}
	return &u
}
