package cos

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSections(t *testing.T) {
	for i, name := range sectionNames {
		if got, err := ParseSections(name); got != 1<<i || err != nil || got.String() != name {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	all := AllSections.String()
	if got, err := ParseSections(all); got != AllSections || err != nil || strings.Contains(all, "0x") {
		t.Errorf("%s: %v, %v", all, got, err)
	}
	for _, names := range []string{"", "none", "network,", "Network", " network", "network,network"} {
		if got, err := ParseSections(names); got != 0 || !errors.Is(err, ErrSection) {
			t.Errorf("%q: %v, %v", names, got, err)
		}
	}
	if _, err := ParseSections("sockets"); !strings.Contains(err.Error(), `"sockets"; there are: network`) {
		t.Error(err)
	}
	if got := (sectionsEnd | SectionNetwork).String(); !strings.HasPrefix(got, "network,0x") {
		t.Errorf("of a later version: %s", got)
	}
}
