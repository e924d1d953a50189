package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// namespaceWith makes a network namespace, and returns a file of it and one of a socket in it.
func namespaceWith(t *testing.T) (ns, socket *os.File) {
	t.Helper()
	type made struct {
		ns, socket int
		err        error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // for good: the thread is in the other namespace
		var m made
		if m.err = unix.Unshare(unix.CLONE_NEWNET); m.err == nil {
			m.ns, m.err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		if m.err == nil {
			m.socket, m.err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		}
		result <- m
	}()
	m := <-result
	if errors.Is(m.err, unix.EPERM) {
		t.Skip("needs the right to make a network namespace")
	}
	if m.err != nil {
		t.Fatal(m.err)
	}
	ns, socket = os.NewFile(uintptr(m.ns), "ns"), os.NewFile(uintptr(m.socket), "socket")
	t.Cleanup(func() { _ = ns.Close(); _ = socket.Close() })
	return ns, socket
}

// TestNetNamespaces has one namespace held by a file and a socket of a process that is in another.
func TestNetNamespaces(t *testing.T) {
	ns, socket := namespaceWith(t)
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "60")
	holder.ExtraFiles = []*os.File{ns, socket} // descriptors 3 and 4
	if err := holder.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()

	s := netNamespaces()
	defer s.close()
	pid := holder.Process.Pid
	want := []string{fmt.Sprint("file ", pid, " 3"), fmt.Sprint("socket ", pid, " 4")}
	if n := s.byID[st.Ino]; n == nil || !slices.Equal(n.found, want) {
		t.Errorf("namespace %d: %+v, want %q", st.Ino, n, want)
	}
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st); err != nil {
		t.Fatal(err)
	}
	if n := s.byID[st.Ino]; n == nil || !slices.Contains(n.found, fmt.Sprint("process ", pid)) {
		t.Errorf("namespace %d of the process: %+v", st.Ino, n)
	}
}
