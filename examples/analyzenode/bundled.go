package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The image that comes with the repository, and its symbols.
var (
	bundledImage   = filepath.Join("lab", "node", "node.lime.lz4")
	bundledSymbols = filepath.Join("lab", "node", "node.isf.json.xz")
)

// errNoBundled: the program runs outside of a clone of the repository.
var errNoBundled = errors.New("no image given, and the one that comes with the repository is not here")

// useBundled takes the bundled image, and unless others are named its symbols, from
// the repository that dir is in.
func (s *settings) useBundled(dir string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for !exists(filepath.Join(root, bundledImage)) {
		parent := filepath.Dir(root)
		if parent == root {
			return fmt.Errorf("%w: %s", errNoBundled, bundledImage)
		}
		root = parent
	}
	s.image = filepath.Join(root, bundledImage)
	if s.symbols == "" {
		s.symbols = filepath.Join(root, bundledSymbols)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
