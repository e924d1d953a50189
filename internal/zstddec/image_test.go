package zstddec

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// TestImage packs a stretch of a memory image in many ways with the zstd command, and
// goes on from a few stops.
func TestImage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("whole images take long")
	}
	size := 3 << 20
	if !testimages.Thorough() {
		size = 1 << 20
	}
	want := stretch(t, size)
	for _, options := range []string{
		"-1", "-3", "-6 --no-check", "-12", "-19 --zstd=wlog=18", "--fast=10", "-3 --long=27",
		"-5 --zstd=wlog=10", "-5 --zstd=wlog=17", "-7 --zstd=wlog=17,hlog=16", "-4 -B300KB -T2", "-3 --no-compress-literals",
	} {
		t.Run(options, func(t *testing.T) {
			file := pack(t, want, strings.Fields(options)...)
			got, doubts, err := drain(t, open(t, file, nil))
			if err != nil || doubts != 0 || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes of %d, %d doubts, %v", len(got), len(want), doubts, err)
			}
			checkFew(t, file, want)
		})
	}
}

// checkFew goes on from a few places in the file.
func checkFew(t *testing.T, file, want []byte) {
	t.Helper()
	d := open(t, file, nil)
	var list []stop
	for n, next := 0, 0; ; {
		if n >= next {
			list = append(list, stop{n, d.State()})
			next = n + len(want)/5
		}
		piece, err := d.Next()
		if err != nil {
			break
		}
		n += len(piece)
	}
	for _, s := range slices.Backward(list) {
		checkResumed(t, file, want, s)
	}
}

// TestImageFrames has pzstd pack a stretch of a memory image as many frames.
func TestImageFrames(t *testing.T) {
	t.Parallel()
	command, err := exec.LookPath("pzstd")
	if err != nil {
		t.Skip(err)
	}
	size := 24 << 20
	if !testimages.Thorough() {
		size = 8 << 20
	}
	want := stretch(t, size)
	in := filepath.Join(t.TempDir(), "content")
	writeFile(t, in, want)
	file, err := exec.CommandContext(t.Context(), command, "-q", "-c", "-1", "-p", "4", in).Output()
	if err != nil {
		t.Fatal(err)
	}
	got, doubts, err := drain(t, open(t, file, nil))
	if err != nil || doubts != 0 || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, %d doubts, %v", len(got), len(want), doubts, err)
	}
	checkFew(t, file, want)
}
