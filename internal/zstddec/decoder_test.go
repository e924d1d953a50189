package zstddec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/testimages"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, name := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			file := fixture(t, name)
			got, doubts, err := drain(t, open(t, file, nil))
			if err != nil || doubts != 0 {
				t.Fatalf("%d bytes, %d doubts, %v", len(got), doubts, err)
			}
			if !bytes.Equal(got, input(name)) {
				t.Fatalf("content differs from the input")
			}
			if !Detect(file[:min(16, len(file))]) {
				t.Error("not detected")
			}
		})
	}
}

// TestResume goes on from every stop, from last to first, while other decoders have
// moved on; and from the stops of a decoder that went on from a stop.
func TestResume(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	for _, name := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			file, want := fixture(t, name), input(name)
			list := stops(open(t, file, nil))
			for i := len(list) - 1; i >= 0; i -= 1 + len(list)/resumed() {
				checkResumed(t, file, want, list[i])
			}
			first := list[len(list)/3]
			for _, again := range stops(open(t, file, first.state))[:min(resumed()/10, len(list)-len(list)/3)] {
				checkResumed(t, file, want, stop{first.content + again.content, again.state})
			}
		})
	}
}

// resumed is from how many stops of a file decoding goes on.
func resumed() int {
	return testimages.Trials(100, 20)
}

func checkResumed(t *testing.T, file, want []byte, at stop) {
	t.Helper()
	got, doubts, err := drain(t, open(t, file, at.state))
	if err != nil || doubts != 0 || !bytes.Equal(got, want[at.content:]) {
		t.Fatalf("from %d: %d bytes of %d, %d doubts, %v", at.content, len(got), len(want)-at.content, doubts, err)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	var file, want []byte
	for _, name := range fixtures(t) {
		file = append(file, fixture(t, name)...)
		want = append(want, input(name)...)
	}
	got, doubts, err := drain(t, open(t, file, nil))
	if err != nil || doubts != 0 || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, %d doubts, %v", len(got), len(want), doubts, err)
	}
}

// TestEncoder decodes what another encoder makes, with blocks that are flushed early.
func TestEncoder(t *testing.T) {
	t.Parallel()
	want := mixed()
	for level := zstd.SpeedFastest; level <= zstd.SpeedBestCompression; level++ {
		for _, flush := range []int{len(want), 3001} {
			var file bytes.Buffer
			w, err := zstd.NewWriter(&file, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			for part := range slices.Chunk(want, flush) {
				if _, err := w.Write(part); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, doubts, err := drain(t, open(t, file.Bytes(), nil))
			if err != nil || doubts != 0 || !bytes.Equal(got, want) {
				t.Errorf("%v, flushed each %d: %d bytes of %d, %d doubts, %v", level, flush, len(got), len(want), doubts, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, want := range refused {
		_, _, err := drain(t, open(t, fixture(t, name), nil))
		if e, ok := errors.AsType[*checkpoint.FormatError](err); !ok || e.Offset != 0 || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := Format.NewDecoder(strings.NewReader(""), 0, &checkpoint.State{Rest: 1}); !errors.Is(err, errState) {
		t.Errorf("state of another format: %v", err)
	}
}

// TestMismatch damages the checksum of the first of two frames.
func TestMismatch(t *testing.T) {
	t.Parallel()
	file := fixture(t, "text-1.zst")
	sum := len(file) - 4
	file[sum] ^= 1
	file = append(file, fixture(t, "mixed-3.zst")...)
	d := open(t, file, nil)
	var got []byte
	var doubts []checkpoint.Mismatch
	for {
		piece, err := d.Next()
		got = append(got, piece...)
		if m, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			doubts = append(doubts, *m)
		} else if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
	}
	want := []checkpoint.Mismatch{{Offset: int64(sum), What: "XXH64", Size: int64(len(packtest.Text()))}}
	if diff := cmp.Diff(want, doubts); diff != "" {
		t.Errorf("doubts (-want +got):\n%s", diff)
	}
	if !bytes.Equal(got, append(packtest.Text(), mixed()...)) {
		t.Error("content differs")
	}
}

// TestTruncated cuts files at every length: all blocks before are returned.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"text-19.zst", "text-rawlits.zst", "one.zst"} {
		file, want := fixture(t, name), input(name)
		list := stops(open(t, file, nil))
		step := 1
		if !testimages.Thorough() {
			step = 11 // at some places that are always the same
		}
		for n := 0; n < len(file); n += step {
			got, _, err := drain(t, open(t, file[:n], nil))
			_, wrong := errors.AsType[*checkpoint.FormatError](err)
			if n > 0 && (!wrong || !errors.Is(err, io.ErrUnexpectedEOF)) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			least := 0
			for _, s := range list {
				if s.state.Rest.(*state).off <= int64(n) {
					least = s.content
				}
			}
			if len(got) < least || !bytes.HasPrefix(want, got) {
				t.Fatalf("%s cut at %d: %d bytes, want %d at least", name, n, len(got), least)
			}
		}
	}
}

// TestTruncatedRaw cuts a block that isn't compressed: what there is of it is returned.
func TestTruncatedRaw(t *testing.T) {
	t.Parallel()
	want := packtest.Noise(15000)
	file := frameOf(block(blockRaw, true, len(want), want...))
	for _, lost := range []int{1, 5000, len(want) - 1} {
		got, _, err := drain(t, open(t, file[:len(file)-lost], nil))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, want[:len(want)-lost]) {
			t.Errorf("%d bytes lost: %d, %v", lost, len(got), err)
		}
	}
}

// frameOf returns a frame with a window of 128 MiB, without content size or checksum.
func frameOf(blocks ...[]byte) []byte {
	head := binary.LittleEndian.AppendUint32(nil, magicFrame)
	return append(append(head, 0, 17<<3), bytes.Join(blocks, nil)...)
}

func block(kind int, last bool, size int, body ...byte) []byte {
	head := uint32(size<<3 | kind<<1)
	if last {
		head |= 1
	}
	return append(binary.LittleEndian.AppendUint32(nil, head)[:3], body...)
}

// TestMemory checks that a window costs nothing before there is content.
func TestMemory(t *testing.T) {
	file := frameOf(block(blockRLE, true, 1000, 'x'))
	alloctest.AtMost(t, 1<<20, "", func() {
		got, _, err := drain(t, open(t, file, nil))
		if err != nil || len(got) != 1000 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// TestWrong has frames that follow the format but for one thing.
func TestWrong(t *testing.T) {
	t.Parallel()
	zeros := block(blockRLE, false, 100, 0)
	sequence := func(literals byte, rest ...byte) []byte {
		body := slices.Concat([]byte{literals << 3}, bytes.Repeat([]byte("a"), int(literals)), rest)
		return block(blockCompressed, true, len(body), body...)
	}
	small := slices.Concat(binary.LittleEndian.AppendUint32(nil, magicFrame), []byte{0x20, 5})
	tests := []struct {
		name string
		file []byte
		want error
		at   int64 // in the file
	}{
		{"magic", []byte("not zstd"), errMagic, 0},
		{"reserved bit of frame", slices.Concat(frameOf()[:4], []byte{8, 0, 0, 0}), errReserved, 0},
		{"reserved block type", frameOf(zeros, block(3, true, 0)), errBlockType, 10},
		{"block above 128 KiB", frameOf(block(blockRLE, true, maxBlock+1, 0)), errBlockSize, 6},
		{"block above the window", slices.Concat(small, block(blockRLE, true, 6, 0)), errBlockSize, 6},
		{"treeless", frameOf(zeros, block(blockCompressed, true, 4, 3|4<<4, 0x40, 0, 0)), errTreeless, 10},
		{"repeat without table", frameOf(sequence(1, 1, 0xfc, 1)), errRepeat, 6},
		{"modes", frameOf(sequence(1, 1, 1, 1)), errModes, 6},
		{"trailing", frameOf(sequence(1, 0, 1)), errTrailing, 6},
		{"code", frameOf(sequence(1, 1, 0x54, 36, 0, 0, 1)), errCode, 6},
		// One sequence of one-code tables: literals 1 or 0, offset code, match of 3.
		{"offset beyond the beginning", frameOf(sequence(1, 1, 0x54, 1, 3, 0, 8)), errOffset, 6},
		{"offset zero", frameOf(sequence(1, 1, 0x54, 0, 1, 0, 3)), errRecent, 6},
		{"literals beyond the end", frameOf(sequence(1, 1, 0x54, 2, 0, 0, 1)), errLiterals, 6},
		{"bits left", frameOf(sequence(1, 1, 0x54, 1, 0, 0, 2)), errStream, 6},
		{"bits missing", frameOf(sequence(1, 1, 0x54, 1, 3, 0, 1)), errStream, 6},
	}
	for _, test := range tests {
		_, _, err := drain(t, open(t, test.file, nil))
		e, ok := errors.AsType[*checkpoint.FormatError](err)
		if !ok || !errors.Is(err, test.want) || e.Offset != test.at {
			t.Errorf("%s: %v, want %v at %#x", test.name, err, test.want, test.at)
		}
	}
	// The same sequences, right: offset 1, the first of the recent ones.
	got, _, err := drain(t, open(t, frameOf(sequence(1, 1, 0x54, 1, 0, 0, 1)), nil))
	if err != nil || string(got) != "aaaa" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestManySequences has a block of so many sequences that their number takes three
// bytes, each of a match of three bytes, and literals that are all the same.
func TestManySequences(t *testing.T) {
	t.Parallel()
	const n = 0x7f00 + 300
	body := []byte{1 | 4<<3, 'y', 255, 300 & 0xff, 300 >> 8, 0x54, 0, 0, 0, 1}
	got, _, err := drain(t, open(t, frameOf(block(blockRLE, false, 10, 'x'), block(blockCompressed, true, len(body), body...)), nil))
	want := strings.Repeat("x", 10+3*n) + "yyyy"
	if err != nil || string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestContentSize has headers that say another size than there is.
func TestContentSize(t *testing.T) {
	t.Parallel()
	for _, size := range []byte{4, 6} {
		head := slices.Concat(binary.LittleEndian.AppendUint32(nil, magicFrame), []byte{0x20, size})
		got, _, err := drain(t, open(t, append(head, block(blockRLE, true, 5, 'x')...), nil))
		if _, ok := errors.AsType[*checkpoint.FormatError](err); !ok {
			t.Errorf("size %d: %q, %v", size, got, err)
		}
	}
}

// A torn file can't be read from some byte on.
type torn struct {
	file []byte
	from int64
}

var errTorn = errors.New("bad sector")

func (r torn) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, r.file[min(off, r.from):r.from])
	if n < len(p) {
		return n, errTorn
	}
	return n, nil
}

// TestReadError reads a file up to where that is not possible.
func TestReadError(t *testing.T) {
	t.Parallel()
	file, want := fixture(t, "mixed-w10.zst"), mixed()
	list := stops(open(t, file, nil))
	at := list[len(list)/2]
	off := at.state.Rest.(*state).off
	d, err := Format.NewDecoder(torn{file, off + 2}, int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := drain(t, d)
	e, ok := errors.AsType[*checkpoint.FormatError](err)
	if !ok || !errors.Is(err, errTorn) || e.Offset != off || !bytes.HasPrefix(want, got) || len(got) < at.content {
		t.Errorf("%d bytes, %v; want %d and %v at %#x", len(got), err, at.content, errTorn, off)
	}
	if d.State() != nil {
		t.Error("a state behind an error")
	}
}

// TestSkippable passes over frames that are not of zstd, small and large.
func TestSkippable(t *testing.T) {
	t.Parallel()
	skipped := func(n int) []byte {
		head := binary.LittleEndian.AppendUint32(nil, magicSkippable+3)
		return append(binary.LittleEndian.AppendUint32(head, uint32(n)), make([]byte, n)...)
	}
	one := fixture(t, "one.zst")
	file := slices.Concat(skipped(0), one, skipped(1<<20), one, skipped(5))
	if got, _, err := drain(t, open(t, file, nil)); err != nil || string(got) != "xx" {
		t.Errorf("%q, %v", got, err)
	}
	got, _, err := drain(t, open(t, file[:len(file)-1], nil))
	e, ok := errors.AsType[*checkpoint.FormatError](err)
	if !ok || e.Offset != int64(len(file)-13) || string(got) != "xx" {
		t.Errorf("cut: %q, %v", got, err)
	}
	if !Detect(file) || Detect(skipped(4)) {
		t.Error("skippable frames: detected wrongly")
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", "\x28\xb5\x2f", "\x04\x22\x4d\x18", "\x50\x2a\x4d\x18", "\x50\x2a\x4d\x18\xff\xff\xff\xff"} {
		if Detect([]byte(head)) {
			t.Errorf("%q detected", head)
		}
	}
}
