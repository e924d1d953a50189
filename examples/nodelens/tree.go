package main

import (
	"iter"

	"github.com/nodelens/nodelens/cos"
)

// trees yields processes as trees: each under its parent, if that is among them, with its depth.
func trees(processes []*cos.Process) iter.Seq2[*cos.Process, int] {
	children := map[int32][]*cos.Process{}
	here := map[int32]bool{}
	for _, p := range processes {
		here[p.PID] = true
		children[p.PPID] = append(children[p.PPID], p)
	}
	done := map[*cos.Process]bool{}
	return func(yield func(*cos.Process, int) bool) {
		var walk func(p *cos.Process, depth int) bool
		walk = func(p *cos.Process, depth int) bool {
			if done[p] {
				return true
			}
			done[p] = true
			if !yield(p, depth) {
				return false
			}
			for _, child := range children[p.PID] {
				if !walk(child, depth+1) {
					return false
				}
			}
			return true
		}
		for _, p := range processes {
			if !here[p.PPID] && !walk(p, 0) {
				return
			}
		}
		for _, p := range processes { // in a damaged image processes can be each other's parents
			if !walk(p, 0) {
				return
			}
		}
	}
}
