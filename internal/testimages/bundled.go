package testimages

import "path/filepath"

// Bundled returns the node image that is in the repository, uncompressed, with its symbols
// and its truth. It is always there, so its absence is an error.
func Bundled() (Image, error) {
	img, err := BundledPacked()
	if err == nil {
		img.Path, err = unpacked(img.Path, writeFile)
	}
	if err == nil {
		img.ISF, err = unpackedISF(img.ISF)
	}
	return img, err
}

// BundledPacked returns what Bundled does, with the image compressed by LZ4 and the symbols by xz
// as they are in the repository, for tests of reading them so.
func BundledPacked() (Image, error) {
	root, err := repository()
	if err != nil {
		return Image{}, err
	}
	dir := filepath.Join(root, "lab", "node")
	truth, err := unpacked(filepath.Join(dir, "node.truth.tar"+compressedXZ), writeTree)
	return Image{
		Name:  "node",
		Path:  filepath.Join(dir, "node.lime"+compressedLZ4),
		Truth: truth,
		ISF:   filepath.Join(dir, "node.isf.json.xz"),
	}, err
}
