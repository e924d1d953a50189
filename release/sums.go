package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nodelens/nodelens/internal/command"
)

// sumsFile is the file of digests, as sha256sum -c takes it.
const sumsFile = "SHA256SUMS"

// writeSums writes the digests of all files of a directory, by their names.
func writeSums(dir string) error {
	files, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	return command.Create(filepath.Join(dir, sumsFile), func(w io.Writer) error {
		for _, f := range files {
			sum, err := sumOf(filepath.Join(dir, f.Name()))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s  %s\n", sum, f.Name()); err != nil {
				return err
			}
		}
		return nil
	})
}

// sumOf returns the SHA-256 of a file in hexadecimal.
func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
