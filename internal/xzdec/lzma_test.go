package xzdec

import (
	"bytes"
	"testing"
)

func TestRepeat(t *testing.T) {
	random := noise()
	for distance := 1; distance <= 40; distance++ {
		for length := 1; length <= 273; length++ {
			got := append(bytes.Clone(random[:distance]), make([]byte, length)...)
			want := bytes.Clone(got)
			for i := range length {
				want[distance+i] = want[i]
			}
			if repeat(got, distance, distance, length); !bytes.Equal(got, want) {
				t.Fatalf("distance %d, length %d: % x, want % x", distance, length, got, want)
			}
		}
	}
}
