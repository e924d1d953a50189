package kcore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// Cores with as many headers as there can be: of segments in each other, of segments that are all of
// memory, and a count of thousands of millions. What that takes is in proportion to the file.
func TestHostileHeaders(t *testing.T) {
	testimages.Long(t)
	const n = 65_000
	for name, segment := range map[string]func(i uint64) coretest.Segment{
		"in each other": func(i uint64) coretest.Segment {
			return coretest.Load(i<<12, coretest.DataAt, 1<<40-2*i<<12, 1<<40-2*i<<12)
		},
		"overlapping":        func(i uint64) coretest.Segment { return coretest.Load(i<<12, 4<<20, 0x3000, 0x3000) },
		"all of memory":      func(uint64) coretest.Segment { return coretest.Load(1, coretest.DataAt, 1<<52-1, 1<<52-1) },
		"notes":              func(uint64) coretest.Segment { return coretest.Segment{Type: 4, FileSz: 1 << 40} },
		"nothing of a lot":   func(i uint64) coretest.Segment { return coretest.Load(i<<20, 4<<20, 0, 1<<20) },
		"where nothing is":   func(i uint64) coretest.Segment { return coretest.Load(i<<20, 1<<62, 1<<20, 1<<20) },
		"of no known places": func(i uint64) coretest.Segment { return coretest.Load(^uint64(0), 64*i, 64, 64) },
	} {
		b := make([]byte, 64, 64+56*n+1<<20)
		copy(b, (&coretest.Core{}).Bytes())
		binary.LittleEndian.PutUint16(b[56:], n)
		for i := range uint64(n) {
			s := segment(i)
			p := binary.LittleEndian.AppendUint32(nil, s.Type)
			p = binary.LittleEndian.AppendUint32(p, 4)
			for _, v := range []uint64{s.Offset, uint64(s.Virt), uint64(s.Phys), s.FileSz, s.MemSz, 0} {
				p = binary.LittleEndian.AppendUint64(p, v)
			}
			b = append(b, p...)
		}
		b = append(b, make([]byte, 1<<20)...)
		for _, count := range []uint32{0, 1<<32 - 1} {
			if count > 0 { // PN_XNUM
				binary.LittleEndian.PutUint16(b[56:], 0xffff)
				binary.LittleEndian.PutUint64(b[40:], uint64(len(b)-64))
				binary.LittleEndian.PutUint32(b[len(b)-64+44:], count)
			}
			var err error
			gaps := 0
			alloctest.AtMost(t, 200<<20, fmt.Sprintf("%s, %d", name, count), func() {
				var f *File
				if f, err = NewFile(bytes.NewReader(b), int64(len(b))); err == nil {
					_, _ = f.ReadAt(make([]byte, 8192), 0x1000)
					gaps = len(f.Gaps())
				}
			})
			if gaps > 5000 {
				t.Errorf("%s, %d: %d gaps, %v", name, count, gaps, err)
			}
			if count > 0 && err == nil && gaps == 0 {
				t.Errorf("%s: nothing tells that there are not so many", name)
			}
		}
	}
}
