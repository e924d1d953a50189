package vmem_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/vmem"
)

// The oracle of the range tests is a map of single addresses over a window of
// oracleSize addresses from oracleStart on. The window wraps: it holds the last
// addresses there are and the first ones, where interval code breaks.
const (
	oracleStart = ^uint64(0) - 31
	oracleSize  = 64
)

type byteMap [oracleSize]bool

func addrAt(i int) vmem.VirtAddr { return vmem.VirtAddr(oracleStart + uint64(i)) }

// cover is the oracle: what r covers, found one address at a time. It stops at
// the last address, where a range must end.
func (m *byteMap) cover(r virtRange) {
	for i := range r.Size {
		a := r.Start + vmem.VirtAddr(i)
		if a < r.Start {
			return
		}
		m[uint64(a)-oracleStart] = true
	}
}

// ranges returns the runs of the map in ascending order of address.
func (m *byteMap) ranges() []virtRange {
	var out []virtRange
	for _, half := range [][2]int{{32, 64}, {0, 32}} { // low addresses come second in the window
		var run virtRange
		for i := half[0]; i < half[1]; i++ {
			switch {
			case m[i] && run.Size > 0:
				run.Size++
			case m[i]:
				run = virtRange{Start: addrAt(i), Size: 1}
			case run.Size > 0:
				out, run = append(out, run), virtRange{}
			}
		}
		if run.Size > 0 {
			out = append(out, run)
		}
	}
	return out
}

func mapOf(rs ...virtRange) (m byteMap) {
	for _, r := range rs {
		m.cover(r)
	}
	return m
}

// randomRange returns a range inside the window. Unless wild, it is valid: it
// ends with the last address or below.
func randomRange(rng *rand.Rand, wild bool) virtRange {
	i := rng.IntN(oracleSize)
	limit := oracleSize - i
	if i < 32 && !wild {
		limit = 32 - i
	}
	return virtRange{Start: addrAt(i), Size: uint64(rng.IntN(limit + 1))}
}

func TestNormalizeRangesAgainstByteMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		in := make([]virtRange, rng.IntN(8))
		for i := range in {
			in[i] = randomRange(rng, true)
		}
		given := slices.Clone(in)
		got := vmem.NormalizeRanges(in)
		want := mapOf(in...)
		if want := want.ranges(); !slices.Equal(want, got) {
			diff := cmp.Diff(want, got)
			t.Fatalf("NormalizeRanges(%v) (-want +got):\n%s", in, diff)
		}
		if !slices.Equal(in, given) {
			t.Fatalf("NormalizeRanges changed its argument %v to %v", given, in)
		}
	}
}

func TestSubtractRangesAgainstByteMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		var in []virtRange
		for range rng.IntN(6) {
			in = append(in, randomRange(rng, false))
		}
		from := randomRange(rng, true)
		covered, want := mapOf(in...), mapOf(from)
		for i := range want {
			want[i] = want[i] && !covered[i]
		}
		got := vmem.SubtractRanges(from, vmem.NormalizeRanges(in))
		if want := want.ranges(); !slices.Equal(want, got) {
			diff := cmp.Diff(want, got)
			t.Fatalf("SubtractRanges(%v, %v) (-want +got):\n%s", from, in, diff)
		}
	}
}

func TestSearchRangesAgainstScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		var in []virtRange
		for range rng.IntN(6) {
			in = append(in, randomRange(rng, false))
		}
		rs, covered := vmem.NormalizeRanges(in), mapOf(in...)
		for i := range oracleSize {
			a := addrAt(i)
			index := slices.IndexFunc(rs, func(r virtRange) bool { return r.Last() >= a })
			if index < 0 {
				index = len(rs)
			}
			if got, ok := vmem.SearchRanges(rs, a); got != index || ok != covered[i] {
				t.Fatalf("SearchRanges(%v, %v) = %d, %t, want %d, %t", rs, a, got, ok, index, covered[i])
			}
		}
	}
}

func TestRangeAgainstByteMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 20000 {
		r, s := randomRange(rng, false), randomRange(rng, false)
		inR, inS := mapOf(r), mapOf(s)
		both, contained := inR, true
		for i := range oracleSize {
			both[i] = inR[i] && inS[i]
			contained = contained && (inR[i] || !inS[i])
			if got := r.Contains(addrAt(i)); got != inR[i] {
				t.Fatalf("%v.Contains(%v) = %t", r, addrAt(i), got)
			}
		}
		if diff := cmp.Diff(both.ranges(), nonEmpty(r.Intersect(s)), equateEmpty); diff != "" {
			t.Fatalf("%v.Intersect(%v) (-want +got):\n%s", r, s, diff)
		}
		if got := r.ContainsRange(s); s.Size > 0 && got != contained {
			t.Fatalf("%v.ContainsRange(%v) = %t", r, s, got)
		}
	}
}

func nonEmpty(r virtRange) []virtRange {
	if r.Size == 0 {
		return nil
	}
	return []virtRange{r}
}

func TestNormalizeWholeAddressSpace(t *testing.T) {
	const top = 1 << 63
	got := vmem.NormalizeRanges([]virtRange{{Start: top, Size: top}, {Start: 0, Size: top}, {Start: top + 7, Size: 3}})
	want := []virtRange{{Start: 0, Size: top}, {Start: top, Size: top}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the whole address space (-want +got):\n%s", diff)
	}
}

func TestContainsRangeOfEmptyRange(t *testing.T) {
	r := virtRange{Start: 0x1000, Size: 0x1000}
	for start, want := range map[vmem.VirtAddr]bool{0xfff: false, 0x1000: true, 0x2000: true, 0x2001: false} {
		if got := r.ContainsRange(virtRange{Start: start}); got != want {
			t.Errorf("%v.ContainsRange(empty at %v) = %t", r, start, got)
		}
	}
}

func TestRangeString(t *testing.T) {
	for want, r := range map[string]virtRange{
		"[0x1000, 0x1fff]":                         {Start: 0x1000, Size: 0x1000},
		"[0xfffffffffffff000, 0xffffffffffffffff]": {Start: 0xffff_ffff_ffff_f000, Size: 0x1000},
		"[0x1000, empty]":                          {Start: 0x1000},
	} {
		if got := r.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestAddrText(t *testing.T) {
	type addrs struct {
		P vmem.PhysAddr
		V vmem.VirtAddr
	}
	in := addrs{0x1000, 0xffff_8880_0000_0000}
	text, err := json.Marshal(in)
	if want := `{"P":"0x1000","V":"0xffff888000000000"}`; err != nil || string(text) != want {
		t.Errorf("Marshal = %s, %v, want %s", text, err, want)
	}
	var out addrs
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("Unmarshal(%s) = %v, %v", text, out, err)
	}
	if err := json.Unmarshal([]byte(`{"V":"top"}`), &out); err == nil {
		t.Error("Unmarshal took an address that is none")
	}
}
