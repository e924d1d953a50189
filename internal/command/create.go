package command

import (
	"bufio"
	"errors"
	"io"
	"os"
)

// Create has write write a file that must not be there before, for its owner alone: whole, or not at all.
func Create(name string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(name)) // it is not whole
	}
	return err
}
