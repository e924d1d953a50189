package linux

import (
	"bytes"
	"testing"

	"github.com/nodelens/nodelens/vmem"
)

// A page of other bytes inside of a string is found, wherever the string begins; a string that
// ends on the page where the next begins is not torn.
func TestTornString(t *testing.T) {
	const pages = 6
	text := bytes.Repeat([]byte("a"), pages*pageSize)
	damaged := func(page, at int) []byte {
		b := bytes.Clone(text)
		b[page*pageSize+at] = 0
		return b
	}
	const user, last = vmem.VirtAddr(0x7ffc_0000_0000), ^vmem.VirtAddr(pages*pageSize - 1)
	for _, tt := range []struct {
		name     string
		b        []byte
		start    vmem.VirtAddr
		pointers []vmem.VirtAddr
		want     int // -1: none
	}{
		{"whole", text, user, []vmem.VirtAddr{user}, -1},
		{"first byte of a page", damaged(2, 0), user, []vmem.VirtAddr{user}, 2 * pageSize},
		{"last byte of a page", damaged(2, pageSize-1), user, []vmem.VirtAddr{user}, 3*pageSize - 1},
		{"begins inside of a page", damaged(1, 9), user + 5, []vmem.VirtAddr{user + 5}, pageSize + 9},
		{"on the page that it begins on", damaged(0, 9), user + 5, []vmem.VirtAddr{user + 5}, -1},
		{"on the page of the next", damaged(2, 9), user, []vmem.VirtAddr{user, user + 2*pageSize + 10}, -1},
		{"in the second of two", damaged(4, 9), user, []vmem.VirtAddr{user, user + 2*pageSize + 10}, 4*pageSize + 9},
		{"no pointer to it", damaged(2, 9), user, []vmem.VirtAddr{1, 0, ^vmem.VirtAddr(0)}, -1},
		{"at the end of the addresses", damaged(2, 9), last, []vmem.VirtAddr{last}, 2*pageSize + 9},
		{"on the last page of all", text[:pageSize-1], ^vmem.VirtAddr(pageSize - 1), []vmem.VirtAddr{^vmem.VirtAddr(0x7ff)}, -1},
	} {
		got, ok := tornString(tt.b, tt.start, tt.pointers)
		if ok != (tt.want >= 0) || ok && got != tt.want {
			t.Errorf("%s: %d, %v, want %d", tt.name, got, ok, tt.want)
		}
	}
}
