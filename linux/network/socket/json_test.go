package socket

import (
	"encoding"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// What is written of sockets is read back as it was.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, s := range soundSockets(t) {
		data, err := jsonx.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got Socket
		if err := jsonx.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		again, err := jsonx.Marshal(&got)
		if err != nil || string(again) != string(data) {
			t.Errorf("%s\n%s: %v", data, again, err)
		}
		if diff := cmp.Diff(fmt.Sprint(s), fmt.Sprint(&got)); diff != "" {
			t.Error(diff)
		}
	}
}

// Each value of an enumeration has a name of its own, and is read back from it.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, v := range []encoding.TextUnmarshaler{
		new(Family), new(Type), new(State), new(TimerKind), new(Holder), new(Shutdown), new(Sources), new(Anomaly),
	} {
		of := reflect.ValueOf(v).Elem()
		seen := map[string]bool{}
		for n := range uint64(256) {
			of.SetUint(n)
			name := fmt.Sprint(of.Interface())
			if of.Kind() == reflect.Uint8 && n >= 1<<6 && name != "" && (of.Type() == reflect.TypeFor[Sources]() || of.Type() == reflect.TypeFor[Anomaly]()) {
				continue // bits that have no name
			}
			if seen[name] {
				t.Errorf("%v: %q twice", of.Type(), name)
			}
			seen[name] = true
			of.SetUint(99)
			if err := v.UnmarshalText([]byte(name)); err != nil {
				if of.Type() == reflect.TypeFor[Anomaly]() {
					continue
				}
				t.Errorf("%v %q: %v", of.Type(), name, err)
			} else if of.Uint() != n {
				t.Errorf("%v %q is %d, want %d", of.Type(), name, of.Uint(), n)
			}
		}
		if err := v.UnmarshalText([]byte("no such name")); err == nil {
			t.Errorf("%v: no error", of.Type())
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"", "*", "7", "10.0.0.1", "::", "fe80::1", "::ffff:10.0.0.1"} {
		var a Address
		if err := a.UnmarshalText([]byte(want)); err != nil || a.String() != want {
			t.Errorf("%q is %q, %v", want, a, err)
		}
	}
	for _, bad := range []string{"fe80::1%eth0", "x", "4294967296"} {
		if err := new(Address).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
}
