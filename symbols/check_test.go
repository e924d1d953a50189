package symbols

import (
	"errors"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

func TestKernel(t *testing.T) {
	m := symboltest.Running.Memory()
	m.Write(0x9000, []byte("NAME=\"Container-Optimized OS\"\nID=cos\nVERSION=113\nBUILD_ID=18244.291.9\n\x00\x00"))
	m.Write(0xa000, []byte("NAME=\"Other\"\nID=other\nBUILD_ID=1.2.3\n\x00\x00"))
	m.Write(0xb000, []byte(symboltest.Older.Banner()+"\n and a log\nLinux version %s (%s) #1 \nLinux version 6.1.0-9 (no time)\n"))
	k := Identify(m, nil)
	release, err := k.Release(t.Context())
	if release != symboltest.Running.Release || err != nil {
		t.Errorf("release %q, %v", release, err)
	}
	if id, err := k.BuildID(t.Context()); id != symboltest.Running.BuildID || err != nil {
		t.Errorf("build id %q, %v", id, err)
	}
	if b, err := k.COSBuilds(t.Context()); strings.Join(b, " ") != "18244.291.9" || err != nil {
		t.Errorf("builds %q, %v", b, err)
	}
	if b, err := k.Banners(t.Context()); strings.Join(b, "|") != symboltest.Older.Banner()+"|"+symboltest.Running.Banner() || err != nil {
		t.Errorf("banners %q, %v", b, err)
	}
}

// TestBannerBehindGap: what can't be read hides its page, and not what follows.
func TestBannerBehindGap(t *testing.T) {
	m := new(pagetest.Memory)
	m.Zero(0x1000, 0x4000)
	m.Write(0x3000, []byte(symboltest.Running.Banner()+"\n"))
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
	noNotes := symboltest.Running.Memory()
	noNotes.Forget(symboltest.Notes, 0x1000)
	noBannerPage := symboltest.Running.Memory()
	noBannerPage.Forget(symboltest.Phys(symboltest.Version), 1200)
	cutBanner, zeroBanner := symboltest.Running.Memory(), symboltest.Running.Memory()
	cutBanner.Forget(symboltest.Phys(symboltest.Version)+vmem.PhysAddr(len(symboltest.Running.Banner())-5), 1200)
	zeroBanner.Zero(symboltest.Phys(symboltest.Version), 1200)
	bare := symboltest.Running.Contents()
	bare.Symbols[2].ConstantData = nil
	grown := symboltest.Running.Contents()
	grown.Types[3].Size++
	grown.Symbols[2].ConstantData = nil
	moved := symboltest.Running.Contents()
	moved.Symbols[1].Address += 0x40
	moved.Symbols[2].ConstantData = nil
	few := symboltest.Running.Contents()
	few.Types, few.Symbols[2].ConstantData = nil, nil
	elsewhere := symboltest.Running.Contents()
	elsewhere.Symbols[2].Address, elsewhere.Symbols[2].ConstantData = symboltest.UTS, nil
	for name, test := range map[string]struct {
		mem  *pagetest.Memory
		file isf.Contents
		want string // part of the error; empty: it fits
	}{
		"the very kernel":         {symboltest.Running.Memory(), symboltest.Running.Contents(), ""},
		"another release":         {symboltest.Running.Memory(), symboltest.Older.Contents(), "the image runs 6.1.0-9, the file is of 5.10.0-7"},
		"another build":           {symboltest.Running.Memory(), symboltest.Rebuilt.Contents(), "the image has the banner \"" + symboltest.Running.Banner()},
		"no banner":               {symboltest.Running.Memory(), bare, ""},
		"another size":            {symboltest.Running.Memory(), grown, "SIZE(type3) 0x40, the file has 0x41"},
		"another place":           {symboltest.Running.Memory(), moved, "SYMBOL(init_uts_ns)"},
		"banner elsewhere":        {symboltest.Running.Memory(), elsewhere, "6.1.0-9"},
		"too little":              {symboltest.Running.Memory(), few, "too little in common"},
		"banner lost":             {noBannerPage, symboltest.Running.Contents(), ""},
		"banner cut off":          {cutBanner, symboltest.Running.Contents(), ""},
		"banner overwritten":      {zeroBanner, symboltest.Running.Contents(), ""},
		"without notes":           {noNotes, symboltest.Running.Contents(), ""},
		"another without notes":   {noNotes, symboltest.Older.Contents(), "the image runs 6.1.0-9, the file is of 5.10.0-7"},
		"build without notes":     {noNotes, symboltest.Rebuilt.Contents(), symboltest.Rebuilt.Build},
		"nothing to compare with": {noNotes, bare, "no banner"},
		"no kernel":               {new(pagetest.Memory), symboltest.Running.Contents(), "no banner in memory"},
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
