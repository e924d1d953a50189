package capture

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cosRelease is how Container-Optimized OS describes itself.
const cosRelease = `NAME="Container-Optimized OS"
ID=cos
PRETTY_NAME="Container-Optimized OS from Google"
BUILD_ID=18244.291.9
# a comment=1
EMPTY=
QUOTED='a $b'
ESCAPED="a \"b\" \$c \\ \` + "`" + `d"
`

func TestParseOSRelease(t *testing.T) {
	want := map[string]string{
		"NAME": "Container-Optimized OS", "ID": "cos", "PRETTY_NAME": "Container-Optimized OS from Google", "BUILD_ID": "18244.291.9",
		"EMPTY": "", "QUOTED": "a $b", "ESCAPED": "a \"b\" $c \\ `d",
	}
	if d := cmp.Diff(want, parseOSRelease(cosRelease)); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func FuzzOSRelease(f *testing.F) {
	f.Add(cosRelease)
	f.Add("A=\"\nB='\n=\n")
	f.Fuzz(func(t *testing.T, text string) {
		for key, value := range parseOSRelease(text) {
			if !strings.Contains(text, key+"=") || len(value) > len(text) {
				t.Fatalf("%q = %q from %q", key, value, text)
			}
		}
	})
}
