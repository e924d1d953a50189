package image

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// serve serves an object with ranges and an ETag, or as a whole.
func serve(t *testing.T, object []byte, etag *atomic.Value) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if etag == nil {
			_, _ = w.Write(object) // the client may have gone
			return
		}
		w.Header().Set("ETag", etag.Load().(string))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/bucket/node.lime?X-Signature=secret"
}

func etag(s string) *atomic.Value {
	v := new(atomic.Value)
	v.Store(s)
	return v
}

// An image of a server is the same in every form, and its name has nothing that is secret.
func TestOpenURL(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{"LiME": limeImage, "ELF core": elfImage, "LiME, gzip": packedBy(t, "gzip", limeImage)} {
		url := serve(t, data, etag(`"7"`))
		f, err := Open(t.Context(), url, &Options{Remote: &Remote{BlockSize: 512}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer f.Close()
		got := make([]byte, 4096)
		if _, err := f.ReadAt(got, 0x10000); err != nil || !bytes.Equal(got, pageOfImage) || f.Info.String() != name {
			t.Errorf("%s: taken for %s, page %.16q, %v", name, f.Info, got, err)
		}
		requests, n := f.Traffic()
		if f.Info.Size != int64(len(data)) || f.Info.ETag != `"7"` || requests == 0 || n < 60 || n > int64(len(data)) {
			t.Errorf("%s: size %d, ETag %s, %d requests, %d bytes", name, f.Info.Size, f.Info.ETag, requests, n)
		}
		if !strings.HasSuffix(f.Info.Name, "/bucket/node.lime") {
			t.Errorf("%s: name %s", name, f.Info.Name)
		}
	}
}

// An object that is replaced while it is read is a gap.
func TestReplacedURL(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	large := encode(0x4C694D45, uint32(1), uint64(0x100000), uint64(0x100000+size-1), uint64(0), bytes.Repeat(pageOfImage, size>>12))
	tag := etag(`"7"`)
	f, err := OpenURL(t.Context(), serve(t, large, tag), &Options{Remote: &Remote{BlockSize: 512}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tag.Store(`"8"`)
	if _, err := f.ReadAt(make([]byte, 8), 0x180000); !errors.Is(err, vmem.ErrNotCaptured) || !strings.Contains(fmt.Sprint(err), "replaced") {
		t.Errorf("read %v", err)
	}
	m, _ := vmem.As[vmem.Lossy](f)
	if gaps := m.Gaps(); len(gaps) != 1 || gaps[0].Place.Addr != 0x180000 {
		t.Errorf("gaps %v", gaps)
	}
}

func TestOpenURLFails(t *testing.T) {
	t.Parallel()
	for want, url := range map[string]string{
		"/bucket/node.lime is on a server that sends files as a whole only: download it first": serve(t, limeImage, nil),
		"/bucket/node.lime is a JPEG picture, not memory":                                      serve(t, []byte("\xff\xd8\xff\xe0JFIF"), etag(`"1"`)),
		"/bucket/node.lime is empty: copy it again, or look whether it was written at all":     serve(t, nil, etag(`"1"`)),
	} {
		f, err := Open(t.Context(), url, nil)
		e, ok := errors.AsType[*Error](err)
		if f != nil || !ok || !strings.HasSuffix(e.Error(), want) || strings.Contains(e.Error()+e.Detail(), "secret") {
			t.Errorf("%v, %v, want %s", f, err, want)
		}
	}
}
