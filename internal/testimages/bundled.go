package testimages

import "path/filepath"

// Bundled returns the node image that is in the repository: compressed as it is there,
// with its symbols and its truth. It is always there, so its absence is an error.
func Bundled() (Image, error) {
	root, err := repository()
	if err != nil {
		return Image{}, err
	}
	dir := filepath.Join(root, "lab", "node")
	truth, err := unpacked(filepath.Join(dir, "node.truth.tar"+compressedXZ), writeTree)
	return Image{
		Name:  "node",
		Path:  filepath.Join(dir, "node.lime.lz4"),
		Truth: truth,
		ISF:   filepath.Join(dir, "node.isf.json.xz"),
	}, err
}
