package fleet

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/nodelens/nodelens/image"
)

// An Item is one image to analyse.
type Item struct {
	// URI is the name of a file, its file:// URL, or the http or https URL of an object, which may be signed.
	URI string `json:"uri"`
	// ISF names the file of the symbols of its kernel; empty: they are found as the program's settings say.
	ISF string `json:"isf,omitempty"`
	// Raw says that the image is nothing but memory, without headers.
	Raw bool `json:"raw,omitempty"`
	// Labels are what else is known of the node, such as cluster, zone or pool. They go into results as they are.
	Labels map[string]string `json:"labels,omitempty"`
}

// Name returns the URI without what may be secret in a URL: how results name the item.
func (it Item) Name() string {
	if image.IsURL(it.URI) {
		return image.PublicURL(it.URI)
	}
	return it.URI
}

// Path returns what opens the image: the URL, or the name of the file.
func (it Item) Path() string {
	rest, ok := strings.CutPrefix(it.URI, "file://")
	if !ok {
		return it.URI
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return it.URI
	}
	return path
}

// check refuses what is no name of an image.
func (it Item) check() error {
	switch {
	case it.URI == "":
		return fmt.Errorf("no uri")
	case !utf8.ValidString(it.URI):
		return fmt.Errorf("%q is not UTF-8: write it as a file:// URL", it.URI)
	}
	return nil
}

// below returns the item with names of files that are relative taken to be below dir.
func (it Item) below(dir string) Item {
	it.URI, it.ISF = below(dir, it.URI), below(dir, it.ISF)
	return it
}

func below(dir, name string) string {
	if name == "" || strings.Contains(name, "://") || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// fileItem returns the item of a file, whatever bytes its name has.
func fileItem(path string) Item {
	if utf8.ValidString(path) {
		return Item{URI: path}
	}
	return Item{URI: "file://" + (&url.URL{Path: path}).EscapedPath()}
}
