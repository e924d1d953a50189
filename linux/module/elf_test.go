package module

import (
	"bytes"
	"debug/elf"
	"os"
	"testing"
)

// TestWriteELF extracts every module and reads it as debug/elf does: its symbols are where
// kallsyms has them, each inside of a section, and its code is what is in memory.
func TestWriteELF(t *testing.T) { eachNode(t, testWriteELF) }

func testWriteELF(t *testing.T, n *node) {
	for _, m := range n.set.Modules() {
		var b bytes.Buffer
		gaps, err := n.set.WriteELF(&b, m)
		if err != nil || len(gaps) > 0 {
			t.Fatal(err, gaps)
		}
		if dir := os.Getenv("NODELENS_EXTRACT"); dir != "" { // to look at it by other tools
			if err := os.WriteFile(dir+"/"+n.K.Info().Release+"-"+m.Name+".ko", b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		f, err := elf.NewFile(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if m.Name == "unlist" && n.standIns(t)[m.Name] != "" {
			continue // all of its code is freed
		}
		checkELF(t, n, m, f)
	}
}

func checkELF(t *testing.T, n *node, m *Module, f *elf.File) {
	t.Helper()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	at := map[string]map[uint64]bool{}
	for _, s := range symbols {
		if at[s.Name] == nil {
			at[s.Name] = map[uint64]bool{}
		}
		at[s.Name][s.Value] = true
		if s.Section == elf.SHN_ABS {
			continue
		}
		if sec := f.Sections[s.Section]; s.Value < sec.Addr || s.Value >= sec.Addr+sec.Size {
			t.Errorf("%s: %s is not in %s", m.Name, s.Name, sec.Name)
		}
	}
	own, _ := n.set.Symbols(m)
	for _, s := range own {
		if !at[s.Name][uint64(s.Addr)] {
			t.Errorf("%s: no symbol %s at %v", m.Name, s.Name, s.Addr)
		}
	}
	text := f.Section(".text")
	if text == nil || text.Addr != uint64(m.Base) || text.Flags&elf.SHF_EXECINSTR == 0 {
		t.Fatalf("%s: section .text is %+v", m.Name, text)
	}
	got, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, len(got))
	if _, err := n.K.Space().ReadVirt(want, m.Base); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: other code than in memory, %v", m.Name, err)
	}
	if note := f.Section(".note.gnu.build-id"); note == nil || note.Type != elf.SHT_NOTE {
		t.Errorf("%s: no note of the build id", m.Name)
	}
	if f.Section(".BTF") == nil && n.set.views.btf.err == nil && n.standIns(t)[m.Name] == "" {
		t.Errorf("%s: no types", m.Name)
	}
}
