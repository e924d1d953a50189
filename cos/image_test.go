package cos

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The names are those of images that Google published.
func TestParseImageName(t *testing.T) {
	for name, want := range map[string]ImageName{
		"gke-1208-gke2100-cos-89-16108-470-1-v210716-pre":          {"", "amd64", 89, "16108.470.1"},
		"gke-1255-gke1500-cos-101-17162-40-42-v221228-c-cgpv1-pre": {"", "amd64", 101, "17162.40.42"},
		"gke-12410-gke2300-cos-97-16919-235-13-v230222-c-pre":      {"", "amd64", 97, "16919.235.13"},
		"gke-1289-gke1000000-cos-109-17800-147-54-c-pre":           {"", "amd64", 109, "17800.147.54"},
		"gke-1309-gke1046000-cos-113-18244-291-9-c-pre":            {"", "amd64", 113, "18244.291.9"},
		"gke-1351-gke1396004-cos-125-19216-104-126-c-pre":          {"", "amd64", 125, "19216.104.126"},
		"gke-1-8-6-gke-0-cos-stable-63-10032-71-0-p-v180105-pre":   {"stable", "amd64", 63, "10032.71.0"},
		"gke-1309-gke1046000-cos-arm64-113-18244-291-9-c-pre":      {"", "arm64", 113, "18244.291.9"},
		"cos-stable-113-18244-291-9":                               {"stable", "amd64", 113, "18244.291.9"},
		"cos-arm64-stable-113-18244-291-9":                         {"stable", "arm64", 113, "18244.291.9"},
		"cos-dev-125-19071-0-0":                                    {"dev", "amd64", 125, "19071.0.0"},
		"https://www.googleapis.com/compute/v1/projects/gke-node-images/global/images/gke-1289-gke1000000-cos-109-17800-147-54-c-nvda": {"", "amd64", 109, "17800.147.54"},
	} {
		got, err := ParseImageName(name)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseImageNameOfOthers(t *testing.T) {
	for _, name := range []string{
		"", "ubuntu-gke-2204-1-30-v20240101", "cos-113", "cos-113-18244-291", "macos-113-18244-291-9x", "cos-113-18244-291-9-c/other",
	} {
		if got, err := ParseImageName(name); !errors.Is(err, ErrNotCOS) {
			t.Errorf("%q = %+v, %v, want ErrNotCOS", name, got, err)
		}
	}
}

func TestVmlinuxURLs(t *testing.T) {
	for image, want := range map[ImageName][]string{
		{Arch: "amd64", Build: "18244.291.9"}: {
			"https://storage.googleapis.com/cos-tools/18244.291.9/vmlinux",
			"https://storage.googleapis.com/cos-tools/18244.291.9/lakitu/vmlinux",
			"https://storage.googleapis.com/cos-tools-eu/18244.291.9/vmlinux",
			"https://storage.googleapis.com/cos-tools-eu/18244.291.9/lakitu/vmlinux",
			"https://storage.googleapis.com/cos-tools-asia/18244.291.9/vmlinux",
			"https://storage.googleapis.com/cos-tools-asia/18244.291.9/lakitu/vmlinux",
		},
		{Arch: "arm64", Build: "18244.291.9"}: {
			"https://storage.googleapis.com/cos-tools/18244.291.9/lakitu-arm64/vmlinux",
			"https://storage.googleapis.com/cos-tools-eu/18244.291.9/lakitu-arm64/vmlinux",
			"https://storage.googleapis.com/cos-tools-asia/18244.291.9/lakitu-arm64/vmlinux",
		},
	} {
		if diff := cmp.Diff(want, image.VmlinuxURLs()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", image, diff)
		}
	}
}

func FuzzParseImageName(f *testing.F) {
	f.Add("gke-12410-gke2300-cos-97-16919-235-13-v230222-c-pre")
	f.Add("cos-arm64-stable-113-18244-291-9")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := ParseImageName(name)
		if (err == nil) == (got == ImageName{}) {
			t.Fatalf("%q = %+v, %v", name, got, err)
		}
	})
}
