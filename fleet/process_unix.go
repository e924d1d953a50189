//go:build unix

package fleet

import (
	"os"
	"os/exec"
	"syscall"
)

// alone has a command run in a process group of its own, which [killGroup] ends.
func alone(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends a process, and all that it started.
func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

// signalOf returns the name of the signal that ended a process; empty where it exited.
func signalOf(s *os.ProcessState) string {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return w.Signal().String()
	}
	return ""
}
