package integrity

import (
	"testing"

	"github.com/nodelens/nodelens/linux/internal/syscalls"
	"github.com/nodelens/nodelens/vmem"
)

// FuzzSwitch follows any code as if it were that of a switch: it ends, soon, and where it leads to is no place in the code.
func FuzzSwitch(f *testing.F) {
	n := nodes.Bundled(f)
	for _, name := range []string{"x64_sys_call", "do_syscall_64", "entry_SYSCALL_64"} {
		code, err := n.c.function(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(code.text[:min(len(code.text), 4096)], uint64(39))
	}
	f.Add([]byte{0xff, 0x24, 0xf5, 0, 0, 0, 0x81}, uint64(1)) // jmp *table(,%rsi,8)
	f.Add([]byte{0xeb, 0xfe}, uint64(0))
	f.Fuzz(func(t *testing.T, text []byte, nr uint64) {
		code := &function{name: "fuzzed", at: 0xffffffff81000000, text: text}
		m := n.c.machine(code)
		to, err := m.run(nr)
		if err == nil && code.contains(to.target) && to.target != code.at {
			t.Errorf("it leads to %v", to.target)
		}
		for _, ref := range code.references() {
			if ref.target < 0xffffffff80000000 || !code.contains(ref.at) {
				t.Errorf("%+v", ref)
			}
		}
		_, count := arrayIn(code, syscalls.ABI64)
		if count < 0 {
			t.Error(count)
		}
	})
}

// FuzzEntry looks at any code as if it were the entry of a function: what is suspect has a reason.
func FuzzEntry(f *testing.F) {
	n := nodes.Bundled(f)
	r := &reader{Checker: n.c, ctx: f.Context(), yield: func(Hook, error) bool { return true }}
	f.Add([]byte{0xf3, 0x0f, 0x1e, 0xfa, 0xe9, 0, 0, 0, 0})
	f.Add([]byte{0x0f, 0x1f, 0x44, 0, 0, 0xcc})
	f.Add([]byte{0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xe0})
	f.Add([]byte{0x68, 0, 0, 0, 0x80, 0xc3})
	f.Fuzz(func(t *testing.T, text []byte) {
		var h Hook
		r.scanEntry(&h, &function{at: vmem.VirtAddr(0xffffffff81000000), text: text})
		if h.Suspect && len(h.Evidence) == 0 {
			t.Error("no reason")
		}
	})
}
