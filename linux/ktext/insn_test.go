package ktext

import (
	"encoding/hex"
	"testing"
)

func code16(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The NOPs are those of Intel SDM volume 2, NOP, and of arch/x86/include/asm/nops.h.
func TestNopLen(t *testing.T) {
	for text, want := range map[string]int{
		"90": 1, "6690": 2, "0f1f00": 3, "0f1f4000": 4, "0f1f440000": 5, "660f1f440000": 6, "0f1f8000000000": 7, "0f1f840000000000": 8,
		"660f1f840000000000": 9, "66662e0f1f840000000000": 11, "2e6690": 3, "660f1f00": 4, "0f1f40d6": 4, "0f1f0425ffffffff": 8, "0f1f05aaaaaaaa": 7,
		"f390": 0, "cc": 0, "0f1f": 0, "0f1f44": 0, "8d7600": 0, "f30f1efa": 0, "": 0, "c3": 0,
	} {
		if got := nopLen(code16(t, text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestIdle(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "9090": true, "66900f1f00": true, "eb03cccccc": true, "eb00": true, "eb02cccccc": false, "eb03cc90cc": true, "c3": false, "90cc": false,
		"0f1f44": false, "90eb01cc": true,
	} {
		if got := idle(code16(t, text)); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}

func TestDecodeBranch(t *testing.T) {
	const at = 0x1000
	for text, want := range map[string]branch{
		"e8fbffffff":   {kind: call, size: 5, target: at},
		"e900000000":   {kind: jump, size: 5, target: at + 5},
		"2ee800000000": {kind: call, size: 6, target: at + 6},
		"ebfe":         {kind: jump, size: 2, target: at},
		"7410":         {kind: conditional, cc: 4, size: 2, target: at + 0x12},
		"0f8510000000": {kind: conditional, cc: 5, size: 6, target: at + 0x16},
	} {
		if got, ok := decodeBranch(code16(t, text), at); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{"", "e8", "2e2e2e", "0f", "0f85", "ff10", "90", "0fb6c0", "e8000000"} {
		if got, ok := decodeBranch(code16(t, text), at); ok {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestDecodeIndirect(t *testing.T) {
	for text, want := range map[string]indirect{
		"ffd0": {call, 0, 2}, "ffe7": {jump, 7, 2}, "41ffe3": {jump, 11, 3}, "2e2e2effd1": {call, 1, 5},
	} {
		if got, ok := decodeIndirect(code16(t, text)); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{"", "ff", "ff10", "ff25", "41", "42ffe0"} {
		if got, ok := decodeIndirect(code16(t, text)); ok {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// What the kernel takes for a NOP has no operand but A: another that does nothing either was put there by somebody else.
func TestIsNop(t *testing.T) {
	for text, want := range map[string]bool{
		"90": true, "6690": true, "0f1f440000": true, "6666666690": true, "0f1f8000000000": true, "660f1f840000000000": true, "0f1f00": true,
		"0f1f441200": false, "0f1f440001": false, "0f1f4001": false, "0f1f06": false, "0f1f450000": false, "0f1fc0": true, "9090": false, "": true, "c3": false,
	} {
		if got := isNop(code16(t, text)); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}
