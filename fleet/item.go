package fleet

import (
	"cmp"
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
	// As is what results call the item, where the URI does not do: that of live memory is the same on every node. Empty: they call it by the URI, or by what
	// a manifest has for it.
	As string `json:"as,omitempty"`
	// ISF names the file of the symbols of its kernel; empty: they are found as the program's settings say.
	ISF string `json:"isf,omitempty"`
	// Raw says that the image is nothing but memory, without headers.
	Raw bool `json:"raw,omitempty"`
	// Labels are what else is known of the node, such as cluster, zone or pool. They go into results as they are.
	Labels map[string]string `json:"labels,omitempty"`
}

// Name returns how results call the item: As, or the URI without what may be secret in a URL.
func (it Item) Name() string { return cmp.Or(it.As, it.public().URI) }

// public returns the item without what may be secret in a URL.
func (it Item) public() Item {
	if image.IsURL(it.URI) {
		it.URI = image.PublicURL(it.URI)
	}
	return it
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

// below returns the item with names of files that are relative taken to be below dir. It is called as before: wherever the manifest is mounted, its items are the same.
func (it Item) below(dir string) Item {
	if uri := below(dir, it.URI); uri != it.URI {
		it.As, it.URI = it.Name(), uri
	}
	it.ISF = below(dir, it.ISF)
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
