package kstack

import (
	"encoding/binary"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// FuzzTable decodes any entries of any table: what is found is of an address that is not behind the one that was asked for.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 8, 0, 0, 0, 5, 0}, uint64(0xffffffff81000000), byte(0))
	f.Add([]byte{0xfc, 0xff, 0xff, 0xff, 16, 0, 0xf0, 0xff, 0x14, 0x0a}, uint64(0xffffffff81000010), byte(7))
	f.Fuzz(func(t *testing.T, b []byte, ip uint64, layout byte) {
		n := len(b) / (4 + entrySize)
		table := &table{base: 0xffffffff81000000, ips: b[:4*n], entries: b[4*n : (4+entrySize)*n]}
		form := format{regs: regsOld, hasEnd: layout&1 != 0, hasSignal: layout&2 != 0, threeKinds: layout&1 != 0}
		if layout&4 != 0 {
			form.regs = regsNew
		}
		e, ok := table.find(vmem.VirtAddr(ip))
		if !ok {
			return
		}
		o := form.decode(e)
		if o.kind > kindBad || o.sp > noReg || o.bp > noReg {
			t.Errorf("%+v", o)
		}
		if o.spOffset != int64(int16(binary.LittleEndian.Uint16(e))) {
			t.Errorf("%+v of % x", o, e)
		}
	})
}
