package cosbucket

import (
	"slices"
	"testing"
)

func TestBuckets(t *testing.T) {
	const base = "https://storage.googleapis.com/cos-tools"
	for zone, want := range map[string][]string{
		"":                  {base, base + "-eu", base + "-asia"},
		"us-central1-a":     {base, base + "-eu", base + "-asia"},
		"europe-west1-b":    {base + "-eu", base, base + "-asia"},
		"australia-east1-c": {base + "-asia", base, base + "-eu"},
		"me-west1-a":        {base, base + "-eu", base + "-asia"},
	} {
		if got := Buckets(zone); !slices.Equal(got, want) {
			t.Errorf("%s: %v", zone, got)
		}
	}
}

func TestVmlinux(t *testing.T) {
	for arch, want := range map[string][]string{
		"":      {"18244.291.9/vmlinux", "18244.291.9/lakitu/vmlinux"},
		"amd64": {"18244.291.9/vmlinux", "18244.291.9/lakitu/vmlinux"},
		"arm64": {"18244.291.9/lakitu-arm64/vmlinux"},
	} {
		if got := Vmlinux("18244.291.9", arch); !slices.Equal(got, want) {
			t.Errorf("%s: %v", arch, got)
		}
	}
}
