package kstruct_test

import (
	"io"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
)

func BenchmarkValue(b *testing.B) {
	k := kernel(b)
	init := k.Object("init_task")
	b.Run("At", func(b *testing.B) {
		for b.Loop() {
			if _, err := init.At("real_cred->uid.val").Uint(); err != nil {
				b.Fatal(err)
			}
		}
	})
	pid := init.At("pid")
	b.Run("Int", func(b *testing.B) {
		for b.Loop() {
			if _, err := pid.Int(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Print", func(b *testing.B) {
		var p *kstruct.Printer
		for b.Loop() {
			if err := p.Print(io.Discard, init.At("real_cred").Deref()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
