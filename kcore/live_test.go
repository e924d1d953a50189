package kcore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/memmap"
)

func TestOpenLive(t *testing.T) {
	m := coretest.NewMachine()
	f, err := OpenLive(m)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := []rng{{Start: 0x1000, Size: 0x8000}, {Start: 0x100000, Size: 0x40000}, {Start: 0x200000, Size: 0x10000}}
	if d := cmp.Diff(want, f.Ranges()); d != "" {
		t.Errorf("ranges (-want +got):\n%s", d)
	}
	if len(f.Gaps()) != 0 {
		t.Errorf("gaps %v", f.Gaps())
	}
	got := make([]byte, 0x6000) // into the kernel's image, whose own mapping has zeros
	if _, err := f.ReadAt(got, 0x10d000); err != nil || string(got) != string(m.RAM[0x100000][0xd000:0x13000]) {
		t.Errorf("the kernel's image is not read through the direct map: %v", err)
	}
	if v, err := f.VMCoreInfo(); err != nil || v.Release() != "6.1.0" {
		t.Errorf("VMCOREINFO %v, %v", v, err)
	}
}

func TestOpenLiveRefused(t *testing.T) {
	const noRawIO = "CapEff:\t000001fffffdffff\n"
	set := func(name, data string) func(*coretest.Machine) {
		return func(m *coretest.Machine) { m.Files[name] = &fstest.MapFile{Data: []byte(data)} }
	}
	tests := []struct {
		name   string
		open   error // of proc/kcore
		change func(*coretest.Machine)
		want   error
		fix    string
	}{
		{"no /proc/kcore", fs.ErrNotExist, nil, ErrNoKCore, "CONFIG_PROC_KCORE"},
		{"masked", nil, set(kcoreName, ""), ErrMasked, "hostPath"},
		{"locked down", fs.ErrPermission, set("sys/kernel/security/lockdown", "none integrity [confidentiality]\n"), ErrLockdown, "lockdown=confidentiality"},
		{"no capability", fs.ErrPermission, set("proc/self/status", noRawIO), ErrNoCapability, "CAP_SYS_RAWIO"},
		{"both: lockdown is what matters", fs.ErrPermission, func(m *coretest.Machine) {
			set("sys/kernel/security/lockdown", "none integrity [confidentiality]\n")(m)
			set("proc/self/status", noRawIO)(m)
		}, ErrLockdown, "lockdown=confidentiality"},
		{"security module", fs.ErrPermission, set("proc/self/attr/current", "cri-containerd.apparmor.d (enforce)\n"), ErrDenied, "cri-containerd.apparmor.d"},
		{"for no reason to be seen", fs.ErrPermission, func(m *coretest.Machine) { clear(m.Files) }, ErrDenied, "hostUsers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := coretest.NewMachine()
			if tt.change != nil {
				tt.change(m)
			}
			_, err := OpenLive(denying{m, tt.open})
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || !errors.Is(err, tt.want) || !strings.Contains(refusal.Fix, tt.fix) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.open != nil && !errors.Is(err, tt.open) {
				t.Errorf("%v does not wrap %v", err, tt.open)
			}
		})
	}
	if _, err := OpenLive(denying{coretest.NewMachine(), fs.ErrInvalid}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("another error became %v", err)
	}
}

// denying gives an error for proc/kcore, if it has one.
type denying struct {
	fs.FS
	err error
}

func (d denying) Open(name string) (fs.File, error) {
	if name == kcoreName && d.err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: d.err}
	}
	return d.FS.Open(name)
}

func TestIsLive(t *testing.T) {
	if IsLive(filepath.Join(t.TempDir(), "kcore")) {
		t.Error("a file that does not exist is said to be on procfs")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no procfs: ", err)
	}
	if !IsLive("/proc/self/status") || !IsLive("/proc/kcore") {
		t.Error("/proc is not known for procfs")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsLive(fmt.Sprintf("/proc/self/fd/%d", f.Fd())) {
		t.Error("an image that is open is taken for the running machine")
	}
}

func TestOpenOnProcFS(t *testing.T) {
	if !IsLive("/proc/self/status") {
		t.Skip("no procfs")
	}
	if f, err := Open("/proc/self/status"); !errors.Is(err, ErrFormat) {
		t.Errorf("%v, %v", f, err)
	}
}

// TestHeadersOfKernels compares what the headers of real kernels' /proc/kcore say with
// their /proc/iomem.
func TestHeadersOfKernels(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			head, err := os.ReadFile(filepath.Join(img.Truth, "kcore.head"))
			if err != nil {
				t.Skip(err)
			}
			text, err := os.ReadFile(filepath.Join(img.Truth, "proc", "iomem"))
			if err != nil {
				t.Fatal(err)
			}
			f, err := OpenLive(fstest.MapFS{kcoreName: {Data: head}})
			if err != nil {
				t.Fatal(err)
			}
			resources, err := memmap.ParseIOMem(text)
			if err != nil {
				t.Fatal(err)
			}
			var want []rng
			for _, r := range memmap.SystemRAM(resources) {
				first, end := (r.Start+0xfff)&^0xfff, (r.Last()+1)&^0xfff
				want = append(want, rng{Start: first, Size: uint64(end - first)})
			}
			if d := cmp.Diff(want, f.Ranges()); d != "" {
				t.Errorf("RAM (-iomem +kcore):\n%s", d)
			}
			version, err := os.ReadFile(filepath.Join(img.Truth, "version"))
			if err != nil {
				t.Fatal(err)
			}
			v, err := f.VMCoreInfo()
			if err != nil || !strings.Contains(string(version), "Linux version "+v.Release()+" ") {
				t.Errorf("VMCOREINFO %v, %v", v, err)
			}
		})
	}
}

// A bouncing is a machine whose /proc/kcore spoils what two read through one open file at
// the same time, as the kernel's does.
type bouncing struct{ *coretest.Machine }

type bounceFile struct {
	fs.File
	r    io.ReaderAt
	busy atomic.Int32
}

func (b bouncing) Open(name string) (fs.File, error) {
	f, err := b.Machine.Open(name)
	if err != nil || name != kcoreName {
		return f, err
	}
	return &bounceFile{File: f, r: f.(io.ReaderAt)}, nil
}

func (f *bounceFile) ReadAt(b []byte, off int64) (int, error) {
	if f.busy.Add(1) > 1 {
		clear(b)
		return len(b), nil
	}
	defer f.busy.Add(-1)
	runtime.Gosched()
	return f.r.ReadAt(b, off)
}

// TestLiveConcurrently reads by many at the same time.
func TestLiveConcurrently(t *testing.T) {
	m := coretest.NewMachine()
	f, err := OpenLive(bouncing{m})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Live() {
		t.Error("it does not run")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got := make([]byte, 0x1000)
			for i := range 2000 {
				off := i * 0x1000 % 0x8000
				if _, err := f.ReadAt(got, int64(0x100000+off)); err != nil || string(got) != string(m.RAM[0x100000][off:off+0x1000]) {
					t.Errorf("page %d: other bytes, %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
