package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// bundledImage is the image that comes with the repository.
var bundledImage = filepath.Join("lab", "node", "node.lime.lz4")

// errNoBundled: the program runs outside of a clone of the repository.
var errNoBundled = errors.New("no image given, and the one that comes with the repository is not here")

// useBundled takes the bundled image from the repository that dir is in.
func (s *settings) useBundled(dir string) error {
	start, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	root := start
	for !exists(filepath.Join(root, bundledImage)) {
		parent := filepath.Dir(root)
		if parent == root {
			return fmt.Errorf("%w: %s", errNoBundled, bundledImage)
		}
		root = parent
	}
	here, err := filepath.Rel(start, filepath.Join(root, bundledImage))
	s.image = filepath.Join(dir, here)
	return err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
