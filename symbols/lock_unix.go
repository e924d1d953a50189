//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package symbols

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks an open file until it is closed, if no other program has it locked
// (flock(2)).
func tryLock(f *os.File) (locked bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}
