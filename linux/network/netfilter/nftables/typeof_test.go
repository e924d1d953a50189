package nftables

import (
	"bufio"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// Expressions that nft kept beside sets are written as nft showed them. Those of which it keeps too little, or shows
// otherwise, are not told, as a type is instead.
func TestTypeof(t *testing.T) {
	file, err := os.Open("testdata/typeof.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	untold := map[string]int{}
	n := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		f := strings.SplitN(s.Text(), " ", 4)
		b, err := hex.DecodeString(f[0])
		if err != nil {
			t.Fatal(err)
		}
		var words, names []string
		for _, part := range typeofs(b) {
			words, names = append(words, part.words), append(names, part.typ.name)
		}
		got, want := strings.Join(words, " . "), strings.TrimPrefix(f[3], "typeof ")
		if got == "" {
			untold[strings.Fields(want)[0]]++
			continue
		}
		n++
		if got != want && want != "-" {
			t.Errorf("%s is %q, nft shows %q", f[0], got, want)
		}
		if typ := typeofs(b)[0].typ; len(names) == 1 && typ.size > 1 && (f[2] == "2") != typ.big && names[0] != "string" {
			t.Errorf("%q in network order is %v, nft says %s", got, typeofs(b)[0].typ.big, f[2])
		}
	}
	t.Logf("%d told, not: %v", n, untold)
	if n < 190 {
		t.Errorf("%d expressions are told", n)
	}
}

func FuzzTypeof(f *testing.F) {
	data, err := os.ReadFile("testdata/typeof.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if b, err := hex.DecodeString(strings.Fields(line)[0]); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, part := range typeofs(b) {
			if part.words == "" || part.typ == nil {
				t.Errorf("%x gives %v", b, part)
			}
		}
	})
}
