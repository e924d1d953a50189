package ktext

import (
	"context"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A probe is a kprobe that changes code: one that is not on ftrace.
type probe struct {
	at     uint64
	opcode byte    // what was at its address
	slot   uint64  // what it jumps to where it is optimised, 0 where it can't be
	behind [4]byte // what follows opcode there
}

type kprobe struct {
	Addr   vmem.VirtAddr `kernel:"addr"`
	Opcode uint8         `kernel:"opcode"`
	Flags  uint32        `kernel:"flags"`
}

type optprobe struct {
	Copied [4]byte       `kernel:"optinsn.copied_insn"`
	Slot   vmem.VirtAddr `kernel:"optinsn.insn"`
}

// The flags of a kprobe (include/linux/kprobes.h).
const (
	kprobeOptimized = 4
	kprobeFtrace    = 8
)

// kprobeBuckets is KPROBE_TABLE_SIZE.
const kprobeBuckets = 64

// readProbes reads kprobe_table (kernel/kprobes.c). A kprobe there is the one that stands in the code; where several are at one address
// it stands for all of them.
func (s *state) readProbes(ctx context.Context) {
	at, ok := s.names.address("kprobe_table")
	if !ok {
		return // without CONFIG_KPROBES
	}
	b := kstruct.NewBinder(s.k.Symbols())
	view := kstruct.Bind[kprobe](b, "kprobe")
	node := kstruct.BindMember(b, "kprobe", "hlist")
	if err := b.Err(); err != nil {
		s.lose("kprobes", at, err)
		return
	}
	opt := kstruct.Bind[optprobe](b, "optimized_kprobe")
	inner := kstruct.BindOptionalMember(b, "optimized_kprobe", "kp")
	w := s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "kprobes", Nodes: 1 << 20, Gaps: 100})
	for i := range vmem.VirtAddr(kprobeBuckets) {
		for n, err := range w.HList(vmem.VirtAddr(at) + 8*i) {
			var p kprobe
			if err == nil {
				err = view.Read(s.mem, node.Container(n), &p)
			}
			if err != nil {
				s.lose("kprobes", uint64(n), err)
				continue
			}
			if p.Flags&kprobeFtrace != 0 {
				continue
			}
			out := probe{at: uint64(p.Addr), opcode: p.Opcode}
			var o optprobe
			if p.Flags&kprobeOptimized != 0 && opt.Ok() && opt.Read(s.mem, inner.Container(node.Container(n)), &o) == nil {
				out.slot, out.behind = uint64(o.Slot), o.Copied
			}
			s.probes = append(s.probes, out)
		}
	}
}

// lift puts what kprobes replaced back into code that was read at base, and reports how many there were. What they say that was
// there is then compared like all else.
func (s *state) lift(got []byte, base uint64) (n int) {
	for _, p := range s.probes {
		off := p.at - base
		if p.at < base || off >= uint64(len(got)) {
			continue
		}
		b := got[off:]
		br, ok := decodeBranch(b, p.at)
		switch {
		case b[0] == opInt3:
			b[0] = p.opcode
		case p.slot != 0 && ok && br.kind == jump && br.size == 5 && br.target == p.slot:
			b[0] = p.opcode
			copy(b[1:5], p.behind[:])
		default:
			continue
		}
		n++
	}
	return n
}
