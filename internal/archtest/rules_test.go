package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// module is the path of the module whose packages the rules are for.
const module = "github.com/nodelens/nodelens"

// A room is a top-level directory, with all packages below it, and what it may
// import besides the standard library, itself and internal.
type room struct {
	rooms   []string // by name
	foreign []string // module paths
}

// Foreign modules.
const (
	compress = "github.com/klauspost/compress" // zstd, zlib, Snappy
	xz       = "github.com/ulikunitz/xz"
	lz4      = "github.com/pierrec/lz4/v4"
	mmap     = "golang.org/x/exp/mmap"
	delve    = "github.com/go-delve/delve/pkg/dwarf"
	cobra    = "github.com/spf13/cobra"       // commands, their help and completion; Apache 2.0, and pflag below it BSD
	term     = "golang.org/x/term"            // the width of a terminal; of the Go project, BSD
	x86asm   = "golang.org/x/arch/x86/x86asm" // decodes instructions
	yaml     = "go.yaml.in/yaml/v3"           // allow lists
)

// house is the table of docs/architecture.md. The room "." is the root package.
var house = map[string]room{
	".":          {},
	"vmem":       {},
	"isf":        {foreign: []string{compress, xz}},
	"vmcoreinfo": {rooms: []string{"vmem"}},
	"memmap":     {rooms: []string{"vmem"}},
	"lime":       {rooms: []string{"vmem"}, foreign: []string{compress, lz4, mmap}},
	"kcore":      {rooms: []string{"vmcoreinfo", "vmem"}, foreign: []string{compress, lz4, mmap}},
	"capture":    {rooms: []string{"kcore", "lime", "memmap", "vmem"}, foreign: []string{compress, lz4, mmap}},
	"raw":        {rooms: []string{"vmem"}, foreign: []string{compress, lz4, mmap}},
	"kdump":      {rooms: []string{"vmcoreinfo", "vmem"}, foreign: []string{compress, lz4, mmap}},
	"dwarfconv":  {rooms: []string{"isf"}, foreign: []string{compress, delve}},
	"btfconv":    {rooms: []string{"isf", "vmcoreinfo", "vmem"}},
	"kstruct":    {rooms: []string{"isf", "vmem"}},
	"layouts":    {rooms: []string{"isf"}},
	"linux":      {rooms: []string{"btfconv", "isf", "kstruct", "layouts", "memmap", "vmcoreinfo", "vmem"}, foreign: []string{compress, lz4, x86asm}},
	"symbols":    {rooms: []string{"btfconv", "dwarfconv", "isf", "layouts", "vmcoreinfo", "vmem"}, foreign: []string{compress}},
	"image":      {rooms: []string{"btfconv", "isf", "kcore", "kdump", "layouts", "lime", "linux", "memmap", "raw", "vmem"}, foreign: []string{compress, lz4, mmap}},
	"cos":        {rooms: []string{"image", "isf", "kstruct", "layouts", "linux", "vmem"}, foreign: []string{compress}},
	"diff":       {rooms: []string{"cos", "findings", "linux", "vmem"}},
	"findings":   {rooms: []string{"cos", "linux", "vmem"}, foreign: []string{yaml}},
	"report":     {rooms: []string{"cos", "findings", "linux", "vmem"}},
	"fleet":      {rooms: []string{"btfconv", "cos", "findings", "image", "kcore", "kstruct", "linux", "vmem"}, foreign: []string{compress}},
	"release":    {foreign: []string{term}},
	"examples":   {rooms: library, foreign: []string{xz, cobra, term}},
	"internal":   {rooms: []string{"vmem"}, foreign: []string{compress, lz4, mmap, term}},
}

// library is all that programs are made of.
var library = []string{"btfconv", "capture", "cos", "diff", "dwarfconv", "findings", "fleet", "image", "isf", "kcore", "kdump", "kstruct", "layouts", "lime", "linux", "memmap", "raw", "report", "symbols", "vmcoreinfo", "vmem"}

// violations returns a sentence for each import that the table does not allow.
// imports maps packages, named by their directory relative to the root, to the
// import paths of their files.
func violations(imports map[string][]string) []string {
	var found []string
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		r, ok := house[roomOf(pkg)]
		switch {
		case !ok:
			found = append(found, pkg+" is in no room of the table")
		case !forTests(pkg):
			found = append(found, r.violations(pkg, imports)...)
		}
	}
	return found
}

// violations follows the imports of pkg through its own room and internal: the
// other rooms answer for themselves.
func (r room) violations(pkg string, imports map[string][]string) []string {
	var found []string
	seen := map[string]bool{pkg: true}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, target := range imports[queue[0]] {
			dir, ours := within(target)
			if !r.allows(roomOf(pkg), target) {
				found = append(found, fmt.Sprintf("%s must not use %s, which %s imports", pkg, target, queue[0]))
				continue
			}
			if next := roomOf(dir); ours && !seen[dir] && (next == roomOf(pkg) || next == "internal") {
				seen[dir] = true
				queue = append(queue, dir)
			}
		}
	}
	return found
}

// allows reports whether packages of the room r, called name, may import target.
func (r room) allows(name, target string) bool {
	if dir, ours := within(target); ours {
		to := roomOf(dir)
		return !forTests(dir) && (to == name || to == "internal" || slices.Contains(r.rooms, to))
	}
	first, _, _ := strings.Cut(target, "/")
	if strings.Contains(first, ".") {
		return slices.ContainsFunc(r.foreign, func(m string) bool { return target == m || strings.HasPrefix(target, m+"/") })
	}
	return target != "C" // the standard library, without cgo
}

// within returns the directory, relative to the root, of the package that an
// import path names, if it is one of this module.
func within(importPath string) (dir string, ours bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func roomOf(dir string) string {
	name, _, _ := strings.Cut(dir, "/")
	return name
}

// forTests reports whether a package is there for tests alone, by its name: in the room
// internal, or an internal directory of another.
func forTests(dir string) bool {
	name := path.Base(dir)
	return strings.Contains("/"+dir, "/internal/") &&
		(strings.HasSuffix(name, "test") || name == "testimages" || name == "truth")
}
