//go:build !unix

package fleet

import (
	"os"
	"os/exec"
)

// alone does nothing: there are no process groups.
func alone(*exec.Cmd) {}

// killGroup ends a process.
func killGroup(p *os.Process) error { return p.Kill() }

// signalOf returns nothing: there are no signals.
func signalOf(*os.ProcessState) string { return "" }
