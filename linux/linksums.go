package linux

import (
	"math/bits"
	"math/rand/v2"

	"github.com/nodelens/nodelens/vmem"
)

// A linkSum tells whether links stay inside of a set of nodes, each of which one link leads
// to: the sum over all links is then the sum over all nodes. What is added is a hash of the
// address, which nobody knows before.
type linkSum uint64

// linkSeeds make the hash.
var linkSeeds = [2]uint64{rand.Uint64(), rand.Uint64() | 1}

func linkHash(a vmem.VirtAddr) linkSum {
	hi, lo := bits.Mul64(uint64(a)^linkSeeds[0], linkSeeds[1])
	return linkSum(hi ^ lo)
}

// leads adds a link, unless it is one that ends a list.
func (s *linkSum) leads(to vmem.VirtAddr) {
	if to != 0 {
		*s += linkHash(to)
	}
}

// at takes off a node.
func (s *linkSum) at(node vmem.VirtAddr) { *s -= linkHash(node) }

// node adds a node of a list that is a ring, forwards.
func (s *linkSum) node(at vmem.VirtAddr, l listHead) { *s += linkHash(l.Next) - linkHash(at) }

// linkSums are those of all that tasks are linked by.
type linkSums struct{ family, threads, cgroups, pids linkSum }
