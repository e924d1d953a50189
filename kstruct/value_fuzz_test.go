package kstruct

import (
	"slices"
	"strings"
	"testing"
)

// No path, no type and no memory makes a Value panic, run without end, or give a value
// together with an error.
func FuzzValue(f *testing.F) {
	memory := testdata(f, "drgn", "memory.bin")
	for _, seed := range [][2]string{
		{"all", "grid[1][0].y"}, {"all", "to_point->y"}, {"all", "to_pointer[0][1]"}, {"all *", "->halves.x"}, {"struct either[2]", "[1].p"},
		{"char *", "[0]"}, {"all", "to_row[0][1]"}, {"unsigned long", "->"}, {"all", "last[99]"}, {"int [2][2]", "[1]"},
	} {
		f.Add(seed[0], seed[1], uint16(0x30), []byte{1, 2})
	}
	types := drgnSpace(f)
	f.Fuzz(func(t *testing.T, typ, path string, off uint16, patch []byte) {
		data := slices.Clone(memory)
		copy(data[int(off)%len(data):], patch)
		s := types.In(testMemory(t, data))
		useValue(t, s.Struct(typ, testBase))
		v := s.Struct(typ, testBase).At(path)
		useValue(t, v)
		useValue(t, v.Deref())
		useValue(t, v.Index(1))
		useValue(t, v.ContainerOf(typ, path))
		useValue(t, s.Struct(typ, testBase).Cast(path))
	})
}

func useValue(t *testing.T, v Value) {
	t.Helper()
	u, err := v.Uint()
	if err != nil && u != 0 {
		t.Errorf("Uint: %d, %v", u, err)
	}
	i, err := v.Int()
	if err != nil && i != 0 {
		t.Errorf("Int: %d, %v", i, err)
	}
	if name, err := v.Enum(); err != nil && name != "" {
		t.Errorf("Enum: %q, %v", name, err)
	}
	if b, err := v.Bytes(); err == nil && uint64(len(b)) != v.Size() {
		t.Errorf("%d bytes of %d", len(b), v.Size())
	}
	if s, err := v.CString(); err == nil && strings.Contains(s, "\x00") {
		t.Errorf("CString: %q", s)
	}
	for name, m := range v.Fields() {
		if m.Err() == nil && m != v.At(name) {
			t.Errorf("field %s: %+v, by name %+v", name, m, v.At(name))
		}
	}
	p := Printer{MaxBytes: 10_000}
	var b strings.Builder
	if err := p.Print(&b, v); v.Err() != nil && err == nil {
		t.Errorf("printed %s with error %v", b.String(), v.Err())
	}
	for _, c := range []byte(b.String()) {
		if c != '\n' && c != '\t' && (c < ' ' || c > '~') {
			t.Fatalf("printed %q", b.String())
		}
	}
}
