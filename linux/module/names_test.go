package module

import (
	"encoding"
	"fmt"
	"reflect"
	"testing"
)

// TestNames: each value of an enumeration is read back from its name, and nothing else is a name.
func TestNames(t *testing.T) {
	for _, v := range []encoding.TextUnmarshaler{new(State), new(AreaKind)} {
		of := reflect.ValueOf(v).Elem()
		for n := range uint64(256) {
			of.SetUint(n)
			name := fmt.Sprint(of.Interface())
			if err := v.UnmarshalText([]byte(name)); err != nil || of.Uint() != n {
				t.Errorf("%T %d is %q, read back as %d: %v", v, n, name, of.Uint(), err)
			}
		}
		for _, name := range []string{"", "0", "live", "state 0", "area 1", "state 256"} {
			if err := v.UnmarshalText([]byte(name)); err == nil {
				t.Errorf("%T takes %q", v, name)
			}
		}
	}
	for _, want := range []Taints{0, 1, 1<<12 | 1<<13, ^Taints(0)} {
		var got Taints
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%v is read back as %v: %v", want, got, err)
		}
	}
	for _, text := range []string{"o", "<64>", "<>", "<4", "O>"} {
		if err := new(Taints).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("taints %q are taken", text)
		}
	}
}
