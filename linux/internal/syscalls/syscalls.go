// Package syscalls has the system calls of x86-64 by number.
package syscalls

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// list has the system calls of x86-64 by number, under their names, with the functions that serve them in kernels
// since 5.10 where these have other names: those of 64-bit programs, those that x32 has of its own, and those of 32-bit programs. It
// is made of the numbers of arch/x86/entry/syscalls.
//
//go:embed syscalls.txt
var list string

// A Call is what is known of the system call of a number.
type Call struct {
	Name      string
	Functions []string // that serve it, without what names the way of calling them
}

// The ways to call system calls, by their place in what Names returns.
const (
	ABI64 = iota
	ABIX32
	ABI32
	abiCount
)

// Names returns the system calls by number, for each way to call them. Nothing may change what it returns.
var Names = sync.OnceValue(func() (names [abiCount]map[int]Call) {
	abi := -1
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if words[0] == "#" {
			abi++
			names[abi] = map[int]Call{}
			continue
		}
		if nr, err := strconv.Atoi(words[0]); err == nil {
			names[abi][nr] = Call{words[1], append([]string{"sys_" + words[1]}, words[2:]...)}
		}
	}
	return names
})
