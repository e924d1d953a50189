package process

import (
	"encoding/binary"
	"testing"
)

// FuzzAsk follows any filter: it ends, soon, and what it answers is among what the filter's instructions can give.
func FuzzAsk(f *testing.F) {
	n := nodes.Bundled(f)
	for _, p := range n.Tasks {
		s, err := n.r.Seccomp(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, filter := range s.Filters {
			f.Add(filterBytes(filter.Instructions), uint32(1))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, nr uint32) {
		prog := parseInstructions(b)
		if len(prog) > maxInstructions {
			return
		}
		budget := maxPolicySteps
		v := ask(prog, nr, &budget)
		returnsA := false
		constants := map[uint32]bool{}
		for _, in := range prog {
			if in.Code&7 == classRET {
				returnsA = returnsA || in.Code&0x18 == returnA
				constants[in.K] = true
			}
		}
		for a := range v.answers {
			if !constants[a] && !returnsA {
				t.Errorf("answer %#x is in no instruction", a)
			}
		}
	})
}

func filterBytes(prog []Instruction) (b []byte) {
	for _, in := range prog {
		b = binary.LittleEndian.AppendUint16(b, in.Code)
		b = append(b, in.JT, in.JF)
		b = binary.LittleEndian.AppendUint32(b, in.K)
	}
	return b
}
