package xzdec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
)

func mixed() []byte {
	return bytes.Join([][]byte{packtest.Text(), packtest.Noise(70000), packtest.Text()}, nil)
}

func code() []byte {
	b := packtest.Noise(70000)[:12000]
	for i, c := range b {
		b[i] = [8]byte{0xe8, 0xe9, 0, 0, 0xff, 0xff, 'U', 'U'}[c/32]
	}
	return b
}

func yes() []byte { return bytes.Repeat([]byte("nodelens\n"), 1_000_000) }

// contents are those of the files in testdata.
func contents() map[string][]byte {
	all := map[string][]byte{
		"yes": yes(), "stored": mixed(), "x86": code(), "x86delta": code(), "empty": {},
		"streams": append(packtest.Text(), packtest.Text()...), "small": packtest.Text()[:3000], "smallx86": code()[:3000],
	}
	for _, name := range []string{
		"preset0", "preset6", "preset9e", "none", "crc32", "sha256", "blocks", "threads", "lc0", "lc4", "smalldict", "delta",
	} {
		all[name] = packtest.Text()
	}
	return all
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".xz"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, file []byte, at *checkpoint.State) checkpoint.Decoder {
	t.Helper()
	d, err := Format.NewDecoder(bytes.NewReader(file), int64(len(file)), at)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rest decodes until an error, which is nil at the end of the content, and reports the
// mismatches on the way.
func rest(d checkpoint.Decoder) (content []byte, doubts []*checkpoint.Mismatch, err error) {
	for {
		p, err := d.Next()
		content = append(content, p...)
		if doubt, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			doubts = append(doubts, doubt)
			continue
		}
		if errors.Is(err, io.EOF) {
			return content, doubts, nil
		}
		if err != nil {
			return content, doubts, err
		}
	}
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	for name, want := range contents() {
		file := fixture(t, name)
		if !Detect(file) {
			t.Errorf("%s is not detected", name)
		}
		got, doubts, err := rest(open(t, file, nil))
		if err != nil || doubts != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d; equal: %v; %v, %v", name, len(got), len(want), bytes.Equal(got, want), doubts, err)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", "\xfd7zXZ", "\xfd7zXY\x00", "\x00\xfd7zXZ\x00"} {
		if Detect([]byte(head)) {
			t.Errorf("Detect(%q)", head)
		}
	}
}

// TestCheckpoints takes up decoding behind each piece, and compares the next pieces.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	for name, want := range contents() {
		if n := checkStates(t, fixture(t, name), want); n == 0 && len(want) > 0 {
			t.Errorf("%s: no checkpoints", name)
		}
	}
}

// checkStates decodes a file, again from each of its states (not to the end from most of
// them), and returns how many were behind content.
func checkStates(t *testing.T, file, want []byte) int {
	t.Helper()
	d := open(t, file, nil)
	type saved struct {
		off   int
		state *checkpoint.State
	}
	var states []saved
	off := 0
	for {
		if s := d.State(); s != nil {
			states = append(states, saved{off, s})
		}
		p, err := d.Next()
		if off += len(p); len(p) > checkpoint.MaxPiece {
			t.Fatalf("a piece of %d bytes", len(p))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(states); i += spread(8) { // after all is decoded: states must not have changed
		s := states[i]
		checkPieces(t, open(t, file, s.state), want[s.off:])
		if i%16 > 0 {
			continue
		}
		got, doubts, err := rest(open(t, file, s.state))
		if err != nil || doubts != nil || !bytes.Equal(got, want[s.off:]) {
			t.Fatalf("from %d on: %d bytes, want %d; %v, %v", s.off, len(got), len(want)-s.off, doubts, err)
		}
	}
	return len(states) - 1
}

// spread is how far apart places are at which a file is damaged: where there is time, it is
// damaged at all of them.
func spread(step int) int {
	return testimages.Trials(1, step)
}

// TestCut cuts files at some 500 lengths, short ones at every length, or at fewer.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"preset6", "small", "smallx86", "streams", "empty"} {
		file, want := fixture(t, name), contents()[name]
		before := 0
		for n := 0; n < len(file); n += spread(7) * (1 + len(file)/500) {
			got, doubts, err := rest(open(t, file[:n], nil))
			if name == "streams" && err == nil && (n == len(fixture(t, "blocks")) || n > len(fixture(t, "blocks")) && n%4 == 0) {
				continue // between streams
			}
			if len(got) < before || !bytes.HasPrefix(want, got) || doubts != nil {
				t.Fatalf("%s: %d bytes of the file give %d of content, less gave %d; %v", name, n, len(got), before, doubts)
			}
			before = len(got)
			fault, ok := errors.AsType[*checkpoint.FormatError](err)
			if !ok || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errPadding) || fault.Offset > int64(n) {
				t.Fatalf("%s: %d bytes of the file give %v", name, n, err)
			}
		}
		if before != len(want) && spread(3) == 1 {
			t.Errorf("%s: without its last byte %d of %d bytes", name, before, len(want))
		}
	}
}

// TestFlipped flips a bit in every byte: none goes unnoticed, and what is given before a
// fault that ends a block is a part of the content.
func TestFlipped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"small", "smallx86", "empty"} {
		file, want := fixture(t, name), contents()[name]
		for i := 0; i < len(file); i += spread(9) {
			damaged := bytes.Clone(file)
			damaged[i] ^= 1 << (i % 8)
			got, doubts, err := rest(open(t, damaged, nil))
			if err == nil && doubts == nil {
				t.Fatalf("%s: the damage at %#x is not noticed; content equal: %v", name, i, bytes.Equal(got, want))
			}
			if _, ok := errors.AsType[*checkpoint.FormatError](err); err != nil && !ok {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := io.Copy(io.Discard, NewReader(bytes.NewReader(damaged))); err == nil {
				t.Fatalf("%s: NewReader does not notice the damage at %#x", name, i)
			}
		}
	}
}

// TestMismatch damages checks and indexes: all content is given, and the doubt says of
// what.
func TestMismatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before int // the end of the file
		want   checkpoint.Mismatch
	}{
		{"crc32", 12 + 12 + 1, checkpoint.Mismatch{What: "CRC-32", Size: int64(len(packtest.Text()))}},
		{"preset6", 12 + 12 + 1, checkpoint.Mismatch{What: "CRC-64", Size: int64(len(packtest.Text()))}},
		{"sha256", 12 + 12 + 1, checkpoint.Mismatch{What: "SHA-256", Size: int64(len(packtest.Text()))}},
		{"preset6", 12 + 10, checkpoint.Mismatch{What: "index", Size: int64(len(packtest.Text()))}},
		{"preset6", 12 + 1, checkpoint.Mismatch{What: "index", Size: int64(len(packtest.Text()))}},
		{"preset6", 7, checkpoint.Mismatch{What: "stream footer", Size: int64(len(packtest.Text()))}},
	} {
		file := fixture(t, c.name)
		file[len(file)-c.before] ^= 0x10
		file = append(file, fixture(t, "none")...)
		got, doubts, err := rest(open(t, file, nil))
		if err != nil || len(doubts) != 1 || !bytes.Equal(got, append(packtest.Text(), packtest.Text()...)) {
			t.Errorf("%s: %d bytes, %v, %v", c.name, len(got), doubts, err)
			continue
		}
		doubt := *doubts[0]
		if doubt.Offset == 0 || doubt.Offset >= int64(len(fixture(t, c.name))) {
			t.Errorf("%s: offset %#x", c.name, doubt.Offset)
		}
		if doubt.Offset = 0; doubt != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, doubt, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	garbage := append(fixture(t, "none"), "and then garbage"...)
	padded := append(fixture(t, "none"), 0, 0, 0)
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "file offset 0x0: unexpected EOF"},
		{[]byte("\x28\xb5\x2f\xfd and so on"), "file offset 0x0: neither an xz stream nor padding of zeros"},
		{fixture(t, "arm"), "file offset 0xc: the filter BCJ for ARM (0x7) is not supported"},
		{garbage, fmt.Sprintf("file offset %#x: neither an xz stream nor padding of zeros", len(garbage)-16)},
		{padded, fmt.Sprintf("file offset %#x: stream padding is not a multiple of four bytes", len(padded)-3)},
	} {
		if _, _, err := rest(open(t, c.file, nil)); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := Format.NewDecoder(strings.NewReader(""), 0, &checkpoint.State{Rest: 1}); !errors.Is(err, errState) {
		t.Errorf("%v, want %v", err, errState)
	}
}

// putCRC writes the CRC-32 of b.
func putCRC(to, b []byte) { binary.LittleEndian.PutUint32(to, crc32.ChecksumIEEE(b)) }

// TestDictionary has a header that claims a dictionary of 4 GiB: it is taken for what
// there is.
func TestDictionary(t *testing.T) {
	t.Parallel()
	file := fixture(t, "preset6")
	i := bytes.Index(file, []byte{filterLZMA2, 1, 22})
	file[i+2] = 40
	putCRC(file[20:], file[12:20])
	d := open(t, file, nil)
	got, doubts, err := rest(d)
	if err != nil || doubts != nil || !bytes.Equal(got, packtest.Text()) {
		t.Errorf("%d bytes, %v, %v", len(got), doubts, err)
	}
	if n := len(d.(*decoder).win.buf); n > 4*len(packtest.Text()) {
		t.Errorf("%d bytes of memory for %d of content", n, len(packtest.Text()))
	}
}
