package fleet

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parts       []string
		crash, last string
		short       bool
	}{
		"plain":  {[]string{"one\ntwo", "\nthree\n\n"}, "", "three", false},
		"panic":  {[]string{"x\npan", "ic: boom\x1b\n", "goroutine 1\n" + strings.Repeat("y", 3*maxTail)}, `panic: boom\x1b`, "", false},
		"memory": {[]string{"runtime: out of memory: cannot allocate\nfatal error: out of memory\n"}, "runtime: out of memory: cannot allocate", "fatal error: out of memory", true},
		"long":   {[]string{strings.Repeat("a", maxTail), strings.Repeat("b", maxTail+1), "\nend"}, "", "end", false},
	} {
		var all tail
		for _, p := range test.parts {
			if n, err := all.Write([]byte(p)); n != len(p) || err != nil {
				t.Error(n, err)
			}
		}
		if all.crash != test.crash || len(all.kept) > maxTail || cap(all.kept) > 8*maxTail || all.short() != test.short {
			t.Errorf("%s: crash %q, %d bytes kept, short of memory: %t", name, all.crash, len(all.kept), all.short())
		}
		if test.last != "" && all.last() != test.last {
			t.Errorf("%s: last line %q", name, all.last())
		}
	}
}
