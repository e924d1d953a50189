package seekable_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/nodelens/nodelens/internal/packtest"
	"github.com/nodelens/nodelens/internal/seekable"
	"github.com/nodelens/nodelens/internal/testimages"
)

// Whichever byte of a compressed file is damaged (of some), wherever it ends, and whatever follows it: the
// content is as it was, or there is damage, or the file is refused as none of its format. Each
// format has a checksum; one damaged byte changes it.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	step := testimages.Trials(7, 197)
	content := packtest.Memory(24 << 10)
	for name, p := range packedAll(t, content) {
		told := 0
		check := func(what string, at int, file []byte, more bool) {
			r, err := seekable.New(p.format, bytes.NewReader(file), int64(len(file)), smallest)
			if err != nil {
				return
			}
			got := make([]byte, len(content)+1<<10)
			n, err := r.ReadAt(got, 0)
			if len(r.Damage()) > 0 {
				told++
				return
			}
			if more || err != io.EOF || !bytes.Equal(got[:n], content) { //nolint:errorlint // io.EOF as it is
				t.Errorf("%s: %s byte %#x of %#x: %d bytes, %v, and no damage", name, what, at, len(p.file), n, err)
			}
		}
		for at := 0; at < len(p.file); at += step {
			for _, value := range []byte{0, 0xff, p.file[at] ^ 1, p.file[at] ^ 0x80} {
				b := bytes.Clone(p.file)
				b[at] = value
				check("damaged at", at, b, false)
			}
			if at > 0 { // nothing at all is no loss
				check("cut at", at, p.file[:at], true)
			}
		}
		for _, more := range []string{"x", "more", string(make([]byte, 513)), "\x1f\x8b", "\x28\xb5\x2f\xfd"} {
			check("followed at", len(more), append(bytes.Clone(p.file), more...), len(bytes.Trim([]byte(more), "\x00")) > 0)
		}
		if told < len(p.file)/step {
			t.Errorf("%s: %d times damage of %d bytes", name, told, len(p.file))
		}
	}
}
