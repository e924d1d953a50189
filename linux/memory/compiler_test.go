package memory

import "testing"

// TestCompilerNames: a compiler is told by a whole name, so that what begins as one is none.
func TestCompilerNames(t *testing.T) {
	for name, want := range map[string]bool{
		"node": true, "libjvm.so": true, "libffi.so.8": true, "libpcre2-8.so.0.11.2": true, "libLLVM-14.so.1": true, "qemu-system-x86_64": true, "php8.2": true,
		"node_exporter": false, "nodelens": false, "javascriptd": false, "node (deleted)": false, "": false,
	} {
		if got := isCompiler(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
