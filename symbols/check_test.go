package symbols

import (
	"errors"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
)

func TestKernel(t *testing.T) {
	m := running.memory()
	m.Write(0x9000, []byte("NAME=\"Container-Optimized OS\"\nID=cos\nVERSION=113\nBUILD_ID=18244.291.9\n\x00\x00"))
	m.Write(0xa000, []byte("NAME=\"Other\"\nID=other\nBUILD_ID=1.2.3\n\x00\x00"))
	m.Write(0xb000, []byte(older.banner()+"\n and a log\nLinux version %s (%s) #1 \nLinux version 6.1.0-9 (no time)\n"))
	k := Identify(m, nil)
	release, err := k.Release(t.Context())
	if release != running.release || err != nil {
		t.Errorf("release %q, %v", release, err)
	}
	if id, err := k.BuildID(t.Context()); id != running.buildID || err != nil {
		t.Errorf("build id %q, %v", id, err)
	}
	if b, err := k.COSBuilds(t.Context()); strings.Join(b, " ") != "18244.291.9" || err != nil {
		t.Errorf("builds %q, %v", b, err)
	}
	if b, err := k.Banners(t.Context()); strings.Join(b, "|") != older.banner()+"|"+running.banner() || err != nil {
		t.Errorf("banners %q, %v", b, err)
	}
}

// TestBannerBehindGap: what can't be read hides its page, and not what follows.
func TestBannerBehindGap(t *testing.T) {
	m := new(pagetest.Memory)
	m.Zero(0x1000, 0x4000)
	m.Write(0x3000, []byte(running.banner()+"\n"))
	k := Identify(faulty{m, 0x2800}, nil)
	if b, err := k.Banners(t.Context()); len(b) != 1 || err != nil {
		t.Errorf("banners %q, %v", b, err)
	}
}

// faulty is memory that can't be read at one place, although it is there.
type faulty struct {
	*pagetest.Memory
	bad int64
}

func (m faulty) ReadAt(b []byte, off int64) (int, error) {
	if off <= m.bad && m.bad < off+int64(len(b)) {
		n, _ := m.Memory.ReadAt(b[:m.bad-off], off)
		return n, errors.New("input/output error")
	}
	return m.Memory.ReadAt(b, off)
}

func TestCheck(t *testing.T) {
	noNotes := running.memory()
	noNotes.Forget(0x5000, 0x1000)
	noBannerPage := running.memory()
	noBannerPage.Forget(phys(fakeText2), 1200)
	bare := running.contents()
	bare.Symbols[2].ConstantData = nil
	grown := running.contents()
	grown.Types[3].Size++
	grown.Symbols[2].ConstantData = nil
	moved := running.contents()
	moved.Symbols[1].Address += 0x40
	moved.Symbols[2].ConstantData = nil
	few := running.contents()
	few.Types, few.Symbols[2].ConstantData = nil, nil
	elsewhere := running.contents()
	elsewhere.Symbols[2].Address, elsewhere.Symbols[2].ConstantData = fakeUTS, nil
	for name, test := range map[string]struct {
		mem  *pagetest.Memory
		file isf.Contents
		want string // part of the error; empty: it fits
	}{
		"the very kernel":         {running.memory(), running.contents(), ""},
		"another release":         {running.memory(), older.contents(), "the image runs 6.1.0-9, the file is of 5.10.0-7"},
		"another build":           {running.memory(), rebuilt.contents(), "the image has the banner \"" + running.banner()},
		"no banner":               {running.memory(), bare, ""},
		"another size":            {running.memory(), grown, "SIZE(type3) 0x40, the file has 0x41"},
		"another place":           {running.memory(), moved, "SYMBOL(init_uts_ns)"},
		"banner elsewhere":        {running.memory(), elsewhere, "6.1.0-9"},
		"too little":              {running.memory(), few, "too little in common"},
		"banner lost":             {noBannerPage, running.contents(), ""},
		"without notes":           {noNotes, running.contents(), ""},
		"another without notes":   {noNotes, older.contents(), "the image runs 6.1.0-9, the file is of 5.10.0-7"},
		"build without notes":     {noNotes, rebuilt.contents(), rebuilt.build},
		"nothing to compare with": {noNotes, bare, "no banner"},
		"no kernel":               {new(pagetest.Memory), running.contents(), "no banner in memory"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := isf.New(test.file)
			if err != nil {
				t.Fatal(err)
			}
			err = Identify(test.mem, nil).Check(t.Context(), f)
			switch {
			case (err == nil) != (test.want == ""):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("error %q lacks %q", err, test.want)
			}
		})
	}
}
