package integrity

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// syscallList has the system calls of x86-64 by number, under their names, with the functions that serve them in kernels
// since 5.10 where these have other names: those of 64-bit programs, those that x32 has of its own, and those of 32-bit programs. It
// is made of the numbers of arch/x86/entry/syscalls.
//
//go:embed syscalls.txt
var syscallList string

// A syscallName is what is known of the system call of a number.
type syscallName struct {
	name      string
	functions []string // that serve it, without what names the way of calling them
}

// The ways to call system calls, by their place in the list.
const (
	abi64 = iota
	abiX32
	abi32
	abiCount
)

// syscallNames are the system calls by number.
var syscallNames = sync.OnceValue(func() (names [abiCount]map[int]syscallName) {
	abi := -1
	for line := range strings.Lines(syscallList) {
		words := strings.Fields(line)
		if words[0] == "#" {
			abi++
			names[abi] = map[int]syscallName{}
			continue
		}
		if nr, err := strconv.Atoi(words[0]); err == nil {
			names[abi][nr] = syscallName{words[1], append([]string{"sys_" + words[1]}, words[2:]...)}
		}
	}
	return names
})
