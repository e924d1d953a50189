package xzdec

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
)

func index(t *testing.T, file []byte) (places []checkpoint.Place, size int64, ok bool) {
	t.Helper()
	x, isIndexed := open(t, file, nil).(checkpoint.Indexed)
	if !isIndexed {
		t.Fatal("not Indexed")
	}
	return x.Index()
}

// TestIndex compares the places with where xz was told to begin blocks, and decodes
// from each.
func TestIndex(t *testing.T) {
	t.Parallel()
	blocks := []int64{0, 50000, 100000, 150000, 200000}
	var twice []int64
	twice = append(append(twice, blocks...), int64(len(packtest.Text())))
	for name, want := range map[string][]int64{
		"blocks": blocks, "threads": blocks, "streams": twice, "yes": {0}, "empty": {0}, "arm": {0},
	} {
		file, content := fixture(t, name), contents()[name]
		if name == "arm" {
			content = packtest.Text()
		}
		places, size, ok := index(t, file)
		if !ok || size != int64(len(content)) {
			t.Errorf("%s: size %d, %v; want %d", name, size, ok, len(content))
		}
		var got []int64
		for _, p := range places {
			got = append(got, p.Offset)
			if name == "arm" {
				continue
			}
			b, doubts, err := rest(open(t, file, &p.State))
			if err != nil || doubts != nil || !bytes.Equal(b, content[p.Offset:]) {
				t.Errorf("%s: from %d on %d bytes, %v, %v", name, p.Offset, len(b), doubts, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: places (-want +got):\n%s", name, diff)
		}
	}
}

// TestIndexDamaged flips a bit in each byte of headers, indexes and footers, and cuts
// files anywhere.
func TestIndexDamaged(t *testing.T) {
	t.Parallel()
	file := fixture(t, "streams")
	want, size, _ := index(t, file)
	for n := range file {
		if _, _, ok := index(t, file[:n]); ok && n != len(fixture(t, "blocks")) && n%4 != 0 {
			t.Errorf("the first %d bytes have an index", n)
		}
		damaged := bytes.Clone(file)
		damaged[n] ^= 0x80
		places, got, ok := index(t, damaged)
		if ok && (len(places) != len(want) || got != size) {
			t.Errorf("damage at %#x makes %d places and %d bytes", n, len(places), got)
		}
	}
	for _, at := range []int{0, 7, len(file) - 5, len(file) - 4 - 1, len(file) - 4 - 12 - 1} {
		damaged := bytes.Clone(file)
		damaged[at] ^= 0x80
		if _, _, ok := index(t, damaged); ok {
			t.Errorf("damage at %#x is not noticed", at)
		}
	}
}

// TestBlockUnlikeIndex takes a block up that the index says another size of.
func TestBlockUnlikeIndex(t *testing.T) {
	t.Parallel()
	file := fixture(t, "blocks")
	places, _, _ := index(t, file)
	for _, by := range []int64{-1, 1} {
		at := *places[1].State.Rest.(*progress)
		at.block.said.content += by
		got, _, err := rest(open(t, file, &checkpoint.State{Rest: &at}))
		if err == nil || len(got) != int(min(50000, 50000+by)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}
