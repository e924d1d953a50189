package nodeimage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// bundledImage is the image that comes with the repository.
var bundledImage = filepath.Join("lab", "node", "node.lime.lz4")

// ErrNoBundled says that the program runs outside of a clone of the repository.
var ErrNoBundled = errors.New("no image given, and the one that comes with the repository is not here")

// Bundled returns the name of the bundled image in the repository that dir is in.
func Bundled(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	root := start
	for !Exists(filepath.Join(root, bundledImage)) {
		parent := filepath.Dir(root)
		if parent == root {
			return "", fmt.Errorf("%w: %s", ErrNoBundled, bundledImage)
		}
		root = parent
	}
	here, err := filepath.Rel(start, filepath.Join(root, bundledImage))
	return filepath.Join(dir, here), err
}

// Exists reports whether there is a file of that name.
func Exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
