package kstruct

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

func TestField(t *testing.T) {
	types := sampleTypes(t)
	b := NewBinder(types)
	as := newMemory(t, moved(sampleBytes, 0xff0)) // start begins in one page, and ends in another
	at := base + 0xff0
	next := BindField[vmem.VirtAddr](b, "sample", "newer", "next")
	low := BindOptionalField[uint8](b, "sample", "low")
	ok := BindField[bool](b, "sample", "ok")
	pid := BindField[int64](b, "sample", "pid")
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	if v, err := next.Load(as, at); v != 0xffff888000000100 || err != nil || next.Offset() != 8 {
		t.Errorf("next %v, %v, offset %d", v, err, next.Offset())
	}
	if v, err := low.Load(as, at); v != 5 || err != nil {
		t.Errorf("low %v, %v", v, err)
	}
	if v, err := ok.Load(as, at); !v || err != nil {
		t.Errorf("ok %v, %v", v, err)
	}
	if v, err := pid.Load(as, at); v != -1 || err != nil {
		t.Errorf("pid %v, %v", v, err)
	}
	if v, err := pid.Load(as, base+0x3000); v != 0 || !errors.Is(err, vmem.ErrNotPresent) {
		t.Errorf("nowhere: %v, %v", v, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := next.Load(as, at); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFieldErrors(t *testing.T) {
	types := sampleTypes(t)
	b := NewBinder(types)
	optional := []*Field[int32]{BindOptionalField[int32](b, "sample", "none"), BindOptionalField[int32](b, "none", "pid"), nil, new(Field[int32])}
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	fields := append(slices.Clip(optional), BindField[int32](b, "sample", "none"), BindField[int32](b, "none", "pid"), BindField[int32](b, "sample", "flags"))
	for i, f := range fields {
		if _, err := f.Load(newMemory(t, nil), base); f.Ok() || !errors.Is(err, ErrUnsupported) || f.Offset() != isf.Absent {
			t.Errorf("%d: ok %v, offset %#x, error %v", i, f.Ok(), f.Offset(), err)
		}
	}
	want := "kstruct: struct sample has no field none; no user type none; sample.flags: the kernel has unsigned int, the field reads it as int32: it does not hold all values"
	if err := b.Err(); !errors.Is(err, ErrUnsupported) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	b = NewBinder(types)
	BindField[uint64](b, "sample", "next&")
	if err := b.Err(); err == nil || !strings.Contains(err.Error(), "no field next&") {
		t.Errorf("got %v", err)
	}
}

func TestDecode(t *testing.T) {
	v := bindSample[everything](t)
	as := newMemory(t, sampleBytes)
	data := make([]byte, v.Span())
	if _, err := as.ReadVirt(data, base); err != nil || v.Span() != 240 {
		t.Fatalf("%v, span %d", err, v.Span())
	}
	got := everything{Own: "mine"}
	if err := v.Decode(data, base, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wantSample(base), got, cmp.AllowUnexported(everything{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := v.Decode(data[:239], base, &got); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	var none View[everything]
	if err := none.Decode(data, base, &got); !errors.Is(err, ErrUnsupported) || none.Span() != 0 {
		t.Errorf("unbound: %v, span %d", err, none.Span())
	}
}
