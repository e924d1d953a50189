package httprange

import (
	"net/http"
	"testing"
)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/100", "bytes */100", "bytes 0-9/*", "", "bytes 18446744073709551615-/1", "items 0-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		from, size, err := contentRange(&http.Response{Header: http.Header{"Content-Range": {value}}})
		if from < 0 || size < 0 || err != nil && (from != 0 || size != 0) {
			t.Errorf("%q: %d, %d, %v", value, from, size, err)
		}
	})
}
