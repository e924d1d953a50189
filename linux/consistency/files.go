package consistency

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// maxFDs is how many descriptors of a table are checked.
const maxFDs = 1 << 16

// checkFiles checks tables of descriptors against their bitmaps.
func (c *checker) checkFiles() {
	if !c.views.table.Ok() || !c.views.fdTable.Ok() {
		return
	}
	seen := map[vmem.VirtAddr]bool{0: true}
	for _, t := range c.tasks {
		if seen[t.Files] || c.ctx.Err() != nil {
			continue
		}
		seen[t.Files] = true
		if f := pointer("files", t.addr, t.Files); f != nil {
			c.of(t, descriptors, t.addr, f)
			continue
		}
		c.checkTable(t, t.Files)
	}
}

// checkTable checks each file of a table. A bit without a file is a descriptor that is just
// being opened.
func (c *checker) checkTable(t *task, files vmem.VirtAddr) {
	fail := func(f *fault) { c.of(t, descriptors, files, f) }
	at, f := load(c, c.views.table, "fdt", files)
	if f == nil {
		f = pointer("fdt", files, at)
	}
	if f != nil {
		fail(f)
		return
	}
	table, err := c.views.fdTable.Load(c.space, at)
	if err != nil || table.Max%64 != 0 || table.Max == 0 {
		fail(impossible("fdtable at %v can't be one", at))
		return
	}
	var array [64 * 8]byte
	checked, broken := 0, 0
	for first := uint32(0); first < min(table.Max, maxFDs); first += 64 {
		bits, err := c.space.Uint64(table.Open + vmem.VirtAddr(first/8))
		if err == nil {
			_, err = c.space.ReadVirt(array[:], table.FD+vmem.VirtAddr(first*8))
		}
		if err != nil {
			fail(impossible("fdtable at %v can't be read from %d on", at, first))
			return
		}
		for i := range uint32(64) {
			file := vmem.VirtAddr(binary.LittleEndian.Uint64(array[i*8:]))
			if file == 0 {
				continue
			}
			if !spend(&c.left.descriptors) {
				fail(unread("fdtable", at))
				return
			}
			f := pointer("descriptor", at, file)
			if f == nil && bits>>i&1 == 0 {
				f = torn("descriptor %d of the fdtable at %v has a file and no bit", first+i, at)
			}
			fail(f)
			checked++
			if f != nil {
				broken++
			}
			if broken == checked && broken >= maxStrangers {
				return
			}
		}
	}
}
