package btfconv

import (
	"bytes"
	"encoding/binary"
)

// tokens256 is what is left of a token table: nil for what is not known.
type tokens256 [256][]byte

// minTokens is how many tokens are worth the while.
const minTokens = 64

// findTokens reads the tokens where the token table and the token index are, as far as one
// or the other says where they start.
func (r *remains) findTokens() bool {
	table, index := r.tokens, r.index
	if table < 0 || index <= table || index+512 > len(r.window) {
		return false
	}
	var byIndex, byTable [257]int // where each starts, -1 where not known
	for i := range 256 {
		byIndex[i] = int(binary.LittleEndian.Uint16(r.window[index+2*i:]))
	}
	r.walkTokens(table, index, &byTable)
	for i := range r.tokens256 {
		for _, starts := range [][257]int{byIndex, byTable} {
			if text := r.token(table, index, starts[i], starts[i+1], i == 255); text != nil {
				r.tokens256[i] = text
				break
			}
		}
	}
	return r.checkTokens()
}

// token returns the text of a token that starts at a place of the table, and of which the
// next starts at another; after the last are only zeros before the index.
func (r *remains) token(table, index, start, next int, last bool) []byte {
	if start < 0 || table+start >= index || start > 0 && r.window[table+start-1] != 0 {
		return nil
	}
	n := bytes.IndexByte(r.window[table+start:index], 0)
	if n <= 0 || !isTokenText(r.window[table+start:][:n]) {
		return nil
	}
	end := start + n + 1
	if !last && next != end || last && (start == 0 || align(table+end, 8) != index && align(table+end, 4) != index) {
		return nil
	}
	return r.window[table+start:][:n]
}

// walkTokens finds where each token starts by the ends of those before. If a page of the table
// makes no sense, those on it and after it are not known.
func (r *remains) walkTokens(table, index int, starts *[257]int) {
	for i := range starts {
		starts[i] = -1
	}
	at := table
	for i := range 256 {
		n := bytes.IndexByte(r.window[at:index], 0)
		if n <= 0 || !isTokenText(r.window[at:at+n]) {
			break
		}
		starts[i] = at - table
		at += n + 1
	}
	if starts[255] >= 0 && at <= index && index-at < 8 {
		starts[256] = at - table
		return
	}
	cut := r.pageOf(min(at, len(r.window)-1)) - table
	for i := range starts {
		if starts[i] >= cut {
			starts[i] = -1
		}
	}
}

// isTokenText reports whether b can be a part of a name, with the letter before it.
func isTokenText(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// checkTokens reports whether the tokens are enough, and tells what is lost. A letter that
// is in any name stands for itself.
func (r *remains) checkTokens() bool {
	known, right, wrong := 0, 0, 0
	for i, text := range r.tokens256 {
		if text != nil {
			known++
		}
		if text == nil || i < 'a' || i > 'z' {
			continue
		}
		if len(text) == 1 && int(text[0]) == i {
			right++
		} else {
			wrong++
		}
	}
	if known < 256 {
		r.lose(tokenTableName, r.tokens, r.index+512, "parts of names", 256-known)
	}
	return known >= minTokens && wrong <= right/8
}
