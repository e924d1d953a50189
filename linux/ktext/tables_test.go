package ktext

import (
	"encoding/binary"
	"testing"
)

// The beginnings of tables of Debian's 6.1.0-57-cloud-amd64 and 7.2.13+deb14-cloud-amd64, as objcopy gave them.
const (
	altinstructions61 = "eb8ddbff6cd10000108106037d8edbff63d10000108106038391dbff5ad10000700005057791dbff53d1000029010505"
	altinstructions72 = "e5a0c1ff26220200750002000605d7a0c1ff1d220200100101000601b4a6c1ff102202007500020006"
	retpolines61      = "2432dafd6032dafda232dafd983adafdcd48dafd1c567afeda64dafd9c86dafd0188dafdc588dafd1b91dafd"
	parainstructions  = "23e20483ffffffff2d06ff0100000000c1e20483ffffffff2c06ff010000000073ee0483ffffffff1f06"
)

func TestParseParavirt(t *testing.T) {
	got := parseParavirt(code16(t, parainstructions))
	// The last entry has no padding.
	if len(got) != 3 || got[2] != (paraSite{at: 0xffffffff8304ee73, index: 0x1f, size: 6}) {
		t.Errorf("%+v", got)
	}
}

func TestParseAlternatives(t *testing.T) {
	const base61, base72 = 0xffffffff83295438, 0xffffffff83d779c0
	all := func(uint64, int) bool { return true }
	got := parseAlternatives(code16(t, altinstructions61), base61, func(at uint64, _ int) bool { return at < base61+0x20000 && at > base61-0x2500000 })
	if len(got) != 4 || got[0] != (alternative{at: base61 - 0x247215, repl: base61 + 0xd170, feature: 0x110, not: true, size: 6, replacement: 3}) {
		t.Errorf("%+v", got)
	}
	b := code16(t, altinstructions72)
	if got := parseAlternatives(b[:28], base72, all); len(got) != 2 || !got[0].direct || !got[1].not || got[1].direct || got[1].feature != 0x110 {
		t.Errorf("%+v", got)
	}
	if got := parseAlternatives(b, base72, all); got != nil {
		t.Errorf("a table that is cut short: %+v", got)
	}
}

// FuzzTables: whatever tables hold, decoding them takes no more than what they have, and places are sorted and apart.
func FuzzTables(f *testing.F) {
	for _, text := range []string{altinstructions61, altinstructions72, retpolines61, parainstructions} {
		b := make([]byte, 0, 256)
		for i := 0; i+1 < len(text); i += 2 {
			b = append(b, unhex(text[i])<<4|unhex(text[i+1]))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const base = 0xffffffff81000000
		code := code{sections: []section{
			{name: ".text", addr: base, data: make([]byte, 1<<16), exec: true},
			{name: ".altinstr_replacement", addr: base + 1<<16, data: make([]byte, 1<<12), exec: true},
		}, low: base, high: base + 1<<20}
		for i, name := range []string{".altinstructions", ".retpoline_sites", ".return_sites", ".ibt_endbr_seal", ".smp_locks", ".call_sites",
			".parainstructions", "__jump_table", ".static_call_sites", "__mcount_loc", "runtime_ptr_x", "runtime_shift_y"} {
			code.sections = append(code.sections, section{name: name, addr: base + uint64(i+2)<<16, data: b[:min(len(b), 1<<16)]})
		}
		s := newSites(&code, true)
		if len(s.list) > len(b)*12 {
			t.Fatalf("%d sites of %d bytes", len(s.list), len(b))
		}
		end := uint64(0)
		for _, x := range s.list {
			if x.at < end || !code.valid(x.at, int(x.size)) {
				t.Fatalf("%+v before %#x", x, end)
			}
			end = x.at + uint64(x.size)
		}
		v := &verifier{state: &state{}, code: &code, sites: s}
		for _, x := range s.list {
			if x.kind == Alternative || x.kind == Return || x.kind == Seal || x.kind == Lock {
				want := code.at(x.at, int(x.size))
				v.verify(&x, want, append(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), want...)[:x.size])
			}
		}
		_ = s.moved(1 << 21)
	})
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// FuzzCode: any two pieces of code can be compared.
func FuzzCode(f *testing.F) {
	f.Add([]byte{0x48, 0x8b, 0x05, 1, 2, 3, 4, 0xe8, 0, 0, 0, 0, 0x90}, []byte{0xeb, 3, 0xcc, 0xcc, 0xcc})
	f.Add([]byte{0x0f, 0x1f, 0x44, 0, 0, 0xc3}, []byte{0x66, 0x90, 0x0f, 0x1f, 0, 0xc3})
	f.Fuzz(func(t *testing.T, want, got []byte) {
		n := min(len(want), len(got), 256)
		want, got = want[:n], got[:n]
		v := &verifier{state: &state{}, code: &code{slide: 1 << 21}, sites: &sites{}}
		const at = 0xffffffff81000000
		if !v.sameCode(at, want, at, want) {
			t.Fatalf("% x is not itself", want)
		}
		_ = v.sameCode(at, want, at+0x100, got)
		if i := boundary(want, 0, n/2); n > 0 && i > n/2 {
			t.Fatalf("an instruction begins at %d, behind %d", i, n/2)
		}
		_, _ = far(got, at)
		_ = returnsSoon(got)
	})
}
