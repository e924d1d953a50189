package memmap

import "testing"

func TestPageClassText(t *testing.T) {
	names := map[PageClass]string{
		PageOther: "other", PageSlab: "slab", PageTable: "page table", PageAnon: "anonymous",
		PageStack: "stack", PageFile: "file", PageCleanFile: "clean file", PageFree: "free",
	}
	for class, want := range names {
		var got PageClass
		text, err := class.MarshalText()
		if err == nil {
			err = got.UnmarshalText(text)
		}
		if string(text) != want || got != class || err != nil {
			t.Errorf("%s, read back as %v, %v, want %s", text, got, err, want)
		}
	}
	if got := PageClass(200).String(); got != "PageClass(200)" {
		t.Errorf("no class: %s", got)
	}
	if err := new(PageClass).UnmarshalText([]byte("clean")); err == nil {
		t.Error("no class: no error")
	}
}
