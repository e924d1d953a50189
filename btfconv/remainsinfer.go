package btfconv

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Where the tokens of kallsyms are lost, exported symbols tell them: these have a whole name
// elsewhere, and an address by which the compressed name is known. A name of which one token
// alone is unknown says what that stands for; what many say is believed, and makes others known
// that are now the only ones. Letters stand for themselves (scripts/kallsyms.c).

const (
	// minTokenVotes names must say what a token stands for, and tokenShare of ten the same.
	minTokenVotes = 3
	tokenShare    = 9
	// maxRounds bounds how often tokens lead to others.
	maxRounds = 64
)

// ownLetters are those that are in names of every kernel, and the letters for kinds.
const ownLetters = "abcdefghijklmnopqrstuvwxyz0123456789_TDRBAW"

// assumeLetters forgets all tokens but those that stand for themselves.
func (r *remains) assumeLetters() {
	r.tokens256 = tokens256{}
	for i := range len(ownLetters) {
		r.tokens256[ownLetters[i]] = []byte{ownLetters[i]}
	}
	r.lost = slices.DeleteFunc(r.lost, func(l tableLoss) bool { return l.table == tokenTableName })
	r.lose(tokenTableName, r.tokens, r.index+tokenIndexSize, "parts of names", len(r.tokens256)-len(ownLetters))
}

const tokenTableName = "kallsyms_token_table"

// inferTokens finds what tokens stand for by the names of exported symbols, and decodes the names
// that it makes known.
func (r *remains) inferTokens(exports []kernelSymbol) {
	if !slices.ContainsFunc(r.tokens256[:], func(text []byte) bool { return text == nil }) {
		return
	}
	byAddr := make(map[uint64][]string, len(exports))
	for i := range exports {
		byAddr[exports[i].addr] = append(byAddr[exports[i].addr], exports[i].name)
	}
	low, high := r.codeRange()
	inferred := 0
	for range maxRounds {
		votes := map[byte]map[string]int{}
		for i := range r.symbols {
			at := int(r.starts[i])
			if !r.known[i] || at == 0 || r.symbols[i].name != "" {
				continue
			}
			addr := r.symbols[i].addr
			for _, name := range byAddr[addr] {
				token, text, ok := r.solve(r.compressed(at, r.next(at, len(r.window))), name, addr >= low && addr <= high)
				if !ok {
					continue
				}
				if votes[token] == nil {
					votes[token] = map[string]int{}
				}
				votes[token][text]++
			}
		}
		n := r.elect(votes)
		if n == 0 {
			break
		}
		inferred += n
	}
	if inferred > 0 {
		r.tellInferred(inferred)
		r.takeAgain()
	}
}

// codeRange returns between which addresses there is code, by the names that begin with the
// letter of code itself.
func (r *remains) codeRange() (low, high uint64) {
	low = math.MaxUint64
	for i := range r.symbols {
		if at := int(r.starts[i]); at != 0 && r.known[i] && r.compressed(at, r.next(at, len(r.window)))[0] == 'T' {
			low, high = min(low, r.symbols[i].addr), max(high, r.symbols[i].addr)
		}
	}
	return low, high
}

// solve returns the only token of a compressed name that is not known, and what it stands for if
// the name is the one that is given. Of the first that is a letter for the kind, and more: only
// that of code is known by where it is.
func (r *remains) solve(compressed []byte, name string, code bool) (token byte, text string, ok bool) {
	unknown := -1
	for i, c := range compressed {
		if r.tokens256[c] != nil {
			continue
		}
		if unknown >= 0 {
			return 0, "", false
		}
		unknown = i
	}
	if unknown < 0 || unknown == 0 && !code {
		return 0, "", false
	}
	full := "T" + name
	if unknown > 0 {
		full = string(r.tokens256[compressed[0]][:1]) + name
	}
	before, after := r.expand(compressed[:unknown]), r.expand(compressed[unknown+1:])
	if !strings.HasPrefix(full, before) || !strings.HasSuffix(full, after) || len(full) <= len(before)+len(after) {
		return 0, "", false
	}
	return compressed[unknown], full[len(before) : len(full)-len(after)], true
}

// expand returns what known tokens stand for.
func (r *remains) expand(compressed []byte) string {
	var b strings.Builder
	for _, c := range compressed {
		b.Write(r.tokens256[c])
	}
	return b.String()
}

// elect takes what nearly all say a token stands for, and returns how many tokens it took.
func (r *remains) elect(votes map[byte]map[string]int) (n int) {
	for token, texts := range votes {
		best, all := "", 0
		for text, n := range texts {
			all += n
			if n > texts[best] {
				best = text
			}
		}
		if texts[best] >= minTokenVotes && 10*texts[best] >= tokenShare*all {
			r.tokens256[token] = []byte(best)
			n++
		}
	}
	return n
}

// tellInferred says of the loss of the tokens how many were inferred.
func (r *remains) tellInferred(n int) {
	for i := range r.lost {
		if l := &r.lost[i]; l.table == tokenTableName {
			l.what += fmt.Sprintf(", of which %d were inferred from the names of exported symbols", n)
		}
	}
}

// takeAgain decodes the names of which all tokens are known now.
func (r *remains) takeAgain() {
	for i := range r.symbols {
		if at := int(r.starts[i]); at != 0 && r.symbols[i].name == "" {
			addr := r.symbols[i].addr
			r.take(at, r.next(at, len(r.window)), i)
			r.symbols[i].addr = addr
		}
	}
}
