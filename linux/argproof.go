package linux

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxProof is how much of an area of strings is held against what the stack says of it:
// more than execve takes of all strings (_STK_LIM / 4 * 3 of fs/exec.c).
const maxProof = 6 << 20

// pointers returns the addresses of the arguments and of the environment that execve put on
// the stack: argc, argv, a zero, envp, a zero (create_elf_tables of fs/binfmt_elf.c). It
// returns those of the first page that can be read and can be such; none are known for sure,
// for a program may move them.
func (m *MM) pointers() (argv, envp []vmem.VirtAddr) {
	if m.onStack != nil {
		return m.onStack()
	}
	return m.readPointers()
}

func (m *MM) readPointers() (argv, envp []vmem.VirtAddr) {
	b := make([]byte, pageSize)
	n, _ := m.space.ReadVirt(b, m.StartStack)
	words := make([]vmem.VirtAddr, 0, n/8)
	for i := 0; i+8 <= n; i += 8 {
		words = append(words, vmem.VirtAddr(binary.LittleEndian.Uint64(b[i:])))
	}
	if len(words) == 0 || words[0] == 0 || words[0] > m.ArgEnd-m.ArgStart {
		return nil, nil
	}
	argc := uint64(words[0])
	if words = words[1:]; argc >= uint64(len(words)) {
		return words, nil
	}
	argv, words = words[:argc], words[argc:]
	if words[0] != 0 {
		return nil, nil
	}
	for i, w := range words[1:] {
		if w == 0 {
			return argv, words[1 : 1+i]
		}
	}
	return argv, words[1:]
}

// prove tells where the strings of an area are not what the stack says. User memory has no
// other check.
func (w *areaWalk) prove(start, end vmem.VirtAddr, pointers []vmem.VirtAddr) {
	if start == 0 || end <= start || w.over {
		return
	}
	b := make([]byte, min(maxProof, uint64(end-start)))
	if n, err := w.space.ReadVirt(b, start); err != nil || n == 0 { // that is told
		return
	}
	known, wrong := wrongStrings(b, start, pointers)
	if at, ok := tornString(b, start, pointers); ok && wrong == 0 {
		w.tell(start+vmem.VirtAddr(at), fmt.Errorf("%w: a page of zeros or of other bytes inside of a string", kstruct.ErrCorrupt))
		return
	}
	top := w.EnvEnd | (pageSize - 1)
	switch {
	case known > 0 && wrong == 0:
		return
	case w.StartStack != 0 && start > w.StartStack && start|(pageSize-1) == top && end <= w.EnvEnd:
		if w.stackTop(top + 1) {
			return
		}
	case isTitle(b, wrong):
		return
	}
	first, _, _ := bytes.Cut(b, []byte{0})
	w.tell(start, fmt.Errorf("%w: %d of %d strings are not where the stack says that they begin, and the first is %.32q", kstruct.ErrCorrupt, wrong, known, first))
}

// stackTop reports whether what is between the environment and the top of the stack is what
// execve puts there: the name of the program, and a word of zeros (bprm_execve of fs/exec.c).
// A program has no reason to change that, whatever it puts over its arguments.
func (m *MM) stackTop(top vmem.VirtAddr) bool {
	b := make([]byte, uint64(top-m.EnvEnd))
	if n, err := m.space.ReadVirt(b, m.EnvEnd); err != nil || n < len(b) {
		return false
	}
	name, zeros, ok := bytes.Cut(b, []byte{0})
	return ok && isText(name) && len(zeros) == 8 && len(bytes.Trim(zeros, "\x00")) == 0
}

// isTitle reports whether a program has put text over strings, and nothing but that: what
// is behind it is empty, or what it was.
func isTitle(b []byte, wrong int) bool {
	text, rest, _ := bytes.Cut(b, []byte{0})
	return isText(text) && (wrong == 0 || len(bytes.Trim(rest, "\x00 ")) == 0)
}

// wrongStrings returns how many pointers are to the strings at start, and to how many of
// them there is none: each must begin behind the end of another.
func wrongStrings(b []byte, start vmem.VirtAddr, pointers []vmem.VirtAddr) (known, wrong int) {
	for _, p := range pointers {
		if p < start || p >= start+vmem.VirtAddr(len(b)) {
			continue
		}
		known++
		if at := int(p - start); !begins(b, at) && !mayBeEmpty(start, at, len(b), pointers) {
			wrong++
		}
	}
	return known, wrong
}

// tornString returns where a page inside of one string ends that string. A program may put an
// end into its strings, but hardly on a page that is nothing but the inside of one.
func tornString(b []byte, start vmem.VirtAddr, pointers []vmem.VirtAddr) (int, bool) {
	// Offsets in b, for addresses may be anything, and their sums wrap around.
	offset := func(p vmem.VirtAddr) (int, bool) { return int(min(p-start, vmem.VirtAddr(len(b)))), p >= start }
	first := int(-start % pageSize) // of a page
	for i, p := range pointers {
		at, ok := offset(p)
		if !ok || at == len(b) {
			continue
		}
		end := len(b) // exclusive, as the next string's
		if i+1 < len(pointers) {
			if next, ok := offset(pointers[i+1]); ok && next > at {
				end = next
			}
		}
		for page := first + (at-first+pageSize-1)/pageSize*pageSize; page+pageSize < end; page += pageSize {
			if n := bytes.IndexByte(b[page:page+pageSize], 0); n >= 0 {
				return page + n, true
			}
		}
	}
	return 0, false
}

// begins reports whether a string begins at an offset.
func begins(b []byte, at int) bool { return (at == 0 || b[at-1] == 0) && b[at] != 0 }

// mayBeEmpty reports whether the string at an offset may be empty: another begins behind it, or
// it is the last.
func mayBeEmpty(start vmem.VirtAddr, at, size int, pointers []vmem.VirtAddr) bool {
	return at+1 == size || slices.Contains(pointers, start+vmem.VirtAddr(at+1))
}

// isText reports whether a string is text that is not empty, with spaces of all kinds.
func isText(b []byte) bool {
	return len(b) > 0 && utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) })
}
