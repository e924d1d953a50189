package lime

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// sparse is an image of headers, without any of the memory behind them.
type sparse struct {
	headers map[int64][]byte
	size    int64
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, h := range s.headers {
		if at < off+int64(len(p)) && at+int64(len(h)) > off {
			copy(p[max(0, at-off):], h[max(0, off-at):])
		}
	}
	return len(p), nil
}

// records opens an image of such records.
func records(t *testing.T, header func(physRange) []byte, cut int64, all ...physRange) *File {
	t.Helper()
	s := &sparse{headers: map[int64][]byte{}}
	for _, r := range all {
		s.headers[s.size] = header(r)
		s.size += headerSize + int64(r.Size)
	}
	f, err := NewFile(s, s.size-cut)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const blockSize = 16 << 20

// block returns blocks n to m of the range of RAM above 1 MiB.
func block(n, m uint64) physRange { return mem(0x100000+n*blockSize, (m-n)*blockSize) }

func TestElided(t *testing.T) {
	t.Parallel()
	low, main, high := mem(0x1000, 0x9ec00), mem(0x100000, 6*blockSize+0x5000), mem(1<<32, 3*blockSize)
	ram := []physRange{low, main, high}
	lowShort, tail := mem(0x1000, 0x9ebff), mem(uint64(block(6, 6).Start), 0x4fff)
	tests := []struct {
		name    string
		header  func(physRange) []byte
		cut     int64
		records []physRange
		want    []physRange
	}{
		{"blocks between", avmlHead, 0, []physRange{lowShort, block(0, 1), block(3, 4), tail}, []physRange{block(1, 3), block(4, 6)}},
		{"in the format of LiME", head, 0, []physRange{lowShort, block(0, 1), block(3, 4), tail}, []physRange{block(1, 3), block(4, 6)}},
		{"none", avmlHead, 0, []physRange{lowShort, block(0, 1)}, nil},
		{"the last byte of a range may be lost", avmlHead, 0, []physRange{block(0, 6), mem(1<<32, blockSize)}, nil},
		{"the last byte of a range is lost", avmlHead, 0, []physRange{lowShort, block(0, 1), block(1, 2), mem(1<<32, blockSize)},
			[]physRange{mem(uint64(block(2, 2).Start), 4*blockSize+0x4fff)}},
		{"the last byte of no range is lost", avmlHead, 0, []physRange{low, block(0, 1), block(1, 2), mem(1<<32, blockSize)},
			[]physRange{mem(uint64(block(2, 2).Start), 4*blockSize+0x5000)}},
		{"the last page of a range is lost", avmlHead, 0, []physRange{mem(0x1000, 0x9e000), block(0, 1), mem(1<<32, blockSize)},
			[]physRange{mem(uint64(block(1, 1).Start), 5*blockSize+0x4000)}},
		{"a range that is not there at all", avmlHead, 0, []physRange{block(0, 1), mem(1<<32, blockSize), mem(1<<32+2*blockSize, blockSize)},
			[]physRange{mem(uint64(block(1, 1).Start), 5*blockSize+0x5000), mem(1<<32+blockSize, blockSize)}},
		{"LiME leaves nothing out", head, 0, []physRange{lowShort, block(0, 1), mem(1<<32, blockSize)}, nil},
		{"a record that is no block", avmlHead, 0, []physRange{lowShort, block(0, 1), mem(0x100000+2*blockSize, 0x8000), block(3, 4)}, nil},
		{"a record that begins inside a block", avmlHead, 0, []physRange{mem(0x101000, blockSize), block(3, 4)}, nil},
		{"a record of no RAM", avmlHead, 0, []physRange{block(0, 1), block(3, 4), mem(0xfd000000, 0x1000)}, nil},
		{"a record of two blocks", avmlHead, 0, []physRange{block(0, 2), block(3, 4)}, nil},
		{"not in order", avmlHead, 0, []physRange{block(3, 4), block(0, 1)}, nil},
		{"the last record is cut off", avmlHead, 1, []physRange{block(0, 1), block(2, 3), block(4, 5)}, []physRange{block(1, 2)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := records(t, tt.header, tt.cut, tt.records...)
			if diff := cmp.Diff(tt.want, f.Elided(ram), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("zeros (-want +got):\n%s", diff)
			}
			if got := f.Elided(nil); got != nil {
				t.Errorf("without RAM: %v", got)
			}
		})
	}
}

// systemRAM returns what AVML reads of a node's /proc/iomem.
func systemRAM(t *testing.T, img testimages.Image) []physRange {
	t.Helper()
	var ram []physRange
	for _, r := range trueIOMem(t, img) {
		if r.Depth == 0 && r.Name == "System RAM" {
			ram = append(ram, r.Range)
		}
	}
	return ram
}

func trueIOMem(t *testing.T, img testimages.Image) []memmap.Resource {
	t.Helper()
	resources, err := memmap.ParseIOMem([]byte(readFile(t, filepath.Join(img.Truth, "proc", "iomem"))))
	if err != nil {
		t.Fatal(err)
	}
	return resources
}

// The image is one of LiME's, of which some blocks are overwritten with zeros, converted
// by AVML to both of its formats. With what AVML left out it is the same again.
func TestRealImageElided(t *testing.T) {
	t.Parallel()
	avml, err := exec.LookPath("avml")
	if err != nil {
		t.Skip("no avml command here:", err)
	}
	image := testimages.Named(t, "s-6.1")
	dir := t.TempDir()
	whole, packed, plain := filepath.Join(dir, "whole"), filepath.Join(dir, "avml"), filepath.Join(dir, "lime")
	zeros := []physRange{block(0, 1), block(3, 5), block(17, 18)}
	copyWithZeros(t, image.Path, whole, zeros)
	for _, args := range [][]string{
		{"--source-format", "lime", "--format", "lime_compressed", whole, packed},
		{"--source-format", "lime_compressed", "--format", "lime", packed, plain},
	} {
		if out, err := exec.Command(avml, append([]string{"convert"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("avml convert: %v: %s", err, out)
		}
		f, err := Open(args[len(args)-1])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got := f.Elided(systemRAM(t, image))
		if diff := cmp.Diff(zeros, got); diff != "" {
			t.Errorf("%v: zeros (-want +got):\n%s", args, diff)
		}
		checkZeros(t, vmem.WithZeros(f, got), whole)
	}
}

// copyWithZeros copies an image of LiME's and overwrites memory with zeros.
func copyWithZeros(t *testing.T, from, to string, zeros []physRange) {
	t.Helper()
	w, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	image := NewWriter(w)
	f, err := Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, r := range f.Ranges() {
		b := make([]byte, r.Size)
		if _, err := f.ReadAt(b, int64(r.Start)); err != nil {
			t.Fatal(err)
		}
		for _, z := range zeros {
			if z = z.Intersect(r); z.Size > 0 {
				clear(b[z.Start-r.Start:][:z.Size])
			}
		}
		if err := image.WriteRange(r, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkZeros compares a memory with the image of the same machine in the named file.
func checkZeros(t *testing.T, m vmem.Memory, name string) {
	t.Helper()
	got := make([]byte, 1<<20)
	ranges := walkImage(t, name, func(addr vmem.PhysAddr, b []byte) {
		if n, err := m.ReadAt(got[:len(b)], int64(addr)); err != nil || !bytes.Equal(got[:n], b) {
			t.Fatalf("memory at %v: %d bytes, %v, or other bytes than the file has", addr, n, err)
		}
	})
	if diff := cmp.Diff(ranges, m.Ranges()); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}
