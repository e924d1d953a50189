package xzdec

// Sizes of the tables of LZMA.
const (
	states        = 12
	posStates     = 1 << 4
	lengthStates  = 4        // of distances, by the length of their match
	modelledSlots = 14       // the distances of slots below it have probabilities for all bits
	alignBits     = 4        // the lowest bits of others
	literalSize   = 0x300    // probabilities of a literal in one context
	maxContexts   = 1 << 4   // lc + lp is 4 at most
	minMatch      = 2        // the length of a match
	firstMatched  = 7        // the first state in which a match was last
	initialProb   = probHalf //
)

type literalProbs [literalSize]uint16

// lengths are the probabilities of the length of a match.
type lengths struct {
	choice, choice2 uint16
	low, mid        [posStates][1 << 3]uint16
	high            [1 << 8]uint16
}

// A model is what LZMA learns from the content: probabilities, all of them of a 0.
type model struct {
	isMatch, isRep0Long           [states * posStates]uint16
	isRep, isRep0, isRep1, isRep2 [states]uint16
	slot                          [lengthStates][1 << 6]uint16
	special                       [1 << 7]uint16
	align                         [1 << alignBits]uint16
	matchLength, repLength        lengths
	literal                       [maxContexts]literalProbs
}

// An lzma is the state of an LZMA decoder but for its dictionary.
type lzma struct {
	model
	lc, lp, pb uint
	state      uint32
	rep        [4]uint32 // the last distances, less one
}

// Properties are encoded as (pb*5+lp)*9+lc.
const maxProperties = (4*5+4)*9 + 8

// properties sets lc, lp and pb, and reports whether LZMA2 allows them.
func (l *lzma) properties(b byte) bool {
	if b > maxProperties {
		return false
	}
	l.lc, l.lp, l.pb = uint(b%9), uint(b/9%5), uint(b/45)
	return l.lc+l.lp <= 4
}

// reset forgets all but the properties.
func (l *lzma) reset() {
	l.state, l.rep = 0, [4]uint32{}
	m := &l.model
	for _, probs := range [][]uint16{
		m.isMatch[:], m.isRep0Long[:], m.isRep[:], m.isRep0[:], m.isRep1[:], m.isRep2[:], m.special[:], m.align[:],
	} {
		initial(probs)
	}
	for i := range m.slot {
		initial(m.slot[i][:])
	}
	m.matchLength.reset()
	m.repLength.reset()
	for i := range 1 << (l.lc + l.lp) {
		initial(m.literal[i][:])
	}
}

func (n *lengths) reset() {
	n.choice, n.choice2 = initialProb, initialProb
	for i := range posStates {
		initial(n.low[i][:])
		initial(n.mid[i][:])
	}
	initial(n.high[:])
}

func initial(probs []uint16) {
	for i := range probs {
		probs[i] = initialProb
	}
}
