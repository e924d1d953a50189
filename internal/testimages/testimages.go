package testimages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An Image is the memory image of one real node, with what else is known of it.
type Image struct {
	Name  string // such as s-6.1; the base name of the files it comes from
	Path  string // the image itself, uncompressed: LiME or an ELF core
	Truth string // directory of the truth (version, pods.json, pid/N/stat ...); "" where there is none
	ISF   string // symbols of the image's kernel, uncompressed as well: ISF; "" where there are none
}

// Paused reports whether the machine is known to have stood still while the image was taken: the lab's truth says at
// what time.
func (img Image) Paused() bool {
	_, err := os.Stat(filepath.Join(img.Truth, "clock"))
	return img.Truth != "" && err == nil
}

// suffixes are what the names of images end in.
var suffixes = []string{".elf", ".lime", ".elf" + compressed, ".lime" + compressed}

// errAbsent is the reason to skip a test.
var errAbsent = errors.New("not on this machine")

// Dir returns the directory that holds the images. It skips t where there is
// none.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := imagesDir()
	require(t, err)
	return dir
}

// Golden returns the path of a file that a foreign tool made, by its base name,
// such as 6.1.0-56.dwarf2json.isf.json.xz. It skips t where there is none.
func Golden(t testing.TB, name string) string {
	t.Helper()
	path, err := golden(name)
	require(t, err)
	return path
}

// All returns every image there is, by ascending name, unpacking those that have
// not been before; in short tests, as under the race detector, the first alone. It
// skips t where there is none.
func All(t testing.TB) []Image {
	t.Helper()
	images, err := load("*")
	require(t, err)
	if testing.Short() {
		images = images[:1]
	}
	return images
}

// Network returns the images of nodes with cases of the network: those whose truth has what
// tools said in each network namespace, as the lab makes them with NET=1. It skips t where
// there is none.
func Network(t testing.TB) []Image {
	t.Helper()
	images, err := load("*")
	require(t, err)
	images = slices.DeleteFunc(images, func(i Image) bool { return i.Truth == "" || !exists(filepath.Join(i.Truth, "net")) })
	if len(images) == 0 {
		require(t, fmt.Errorf("testimages: no image whose truth has the network: %w", errAbsent))
	}
	return images
}

// Thorough reports whether tests may take minutes: NODELENS_THOROUGH is set, as checks set it, or there are images.
// Others try what takes long at some places that are always the same, not at all there are.
func Thorough() bool { return os.Getenv("NODELENS_THOROUGH") != "" || Have() }

// Trials is how often a test tries something: all times where [Thorough] is true, and else some.
func Trials(all, some int) int {
	if Thorough() {
		return all
	}
	return some
}

// Have reports whether there are images beside the bundled one: NODELENS_IMAGES is set.
func Have() bool { return os.Getenv("NODELENS_IMAGES") != "" }

// Named returns the image of that name, unpacking it if it has not been before.
// It skips t where there is none.
func Named(t testing.TB, name string) Image {
	t.Helper()
	images, err := load(name)
	require(t, err)
	return images[0]
}

// require ends the test unless err is nil: as skipped where something is not on
// this machine, as failed otherwise.
func require(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errAbsent):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

func imagesDir() (string, error) { return locate("NODELENS_IMAGES") }

func golden(name string) (string, error) {
	dir, err := locate("NODELENS_GOLDEN")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if !exists(path) {
		return "", fmt.Errorf("testimages: %s: %w", path, errAbsent)
	}
	return path, nil
}

// locate returns the directory that the environment variable names.
func locate(env string) (string, error) {
	dir := os.Getenv(env)
	if dir == "" {
		return "", fmt.Errorf("testimages: %s is not set: %w", env, errAbsent)
	}
	if !exists(dir) {
		return "", fmt.Errorf("testimages: %s names %s, which does not exist", env, dir)
	}
	return dir, nil
}

// repository returns the root of the repository whose test is running: the go
// command runs a test in the directory of its package.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for !exists(filepath.Join(dir, "lab", "node")) { // not the first go.mod: that may be of a module beside the library
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("testimages: no lab/node above the working directory: %w", fs.ErrNotExist)
		}
		dir = parent
	}
	return dir, nil
}

// load finds and unpacks the images whose names match pattern; at least one.
func load(pattern string) ([]Image, error) {
	dir, err := imagesDir()
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, suffix := range suffixes {
		files, err := filepath.Glob(filepath.Join(dir, pattern+suffix))
		if err != nil {
			return nil, fmt.Errorf("testimages: %q: %w", pattern, err)
		}
		for _, file := range files {
			plain, packed := strings.CutSuffix(file, compressed)
			if packed && exists(plain) {
				continue
			}
			image, err := open(file, plain)
			if err != nil {
				return nil, err
			}
			images = append(images, image)
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("testimages: image %s in %s: %w", pattern, dir, errAbsent)
	}
	slices.SortStableFunc(images, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	return images, nil
}

// open returns the image in file, whose name without compression is plain.
func open(file, plain string) (Image, error) {
	stem := strings.TrimSuffix(plain, filepath.Ext(plain))
	img := Image{Name: filepath.Base(stem), Path: file}
	var err error
	if file != plain {
		if img.Path, err = unpacked(file, writeFile); err != nil {
			return Image{}, err
		}
	}
	if img.Truth, err = truth(stem); err != nil {
		return Image{}, err
	}
	img.ISF, err = symbols(stem, img.Truth)
	return img, err
}

// truth returns the directory of the truth about the image at stem, or "".
func truth(stem string) (string, error) {
	if exists(stem) {
		return stem, nil
	}
	archive := stem + ".truth.tar" + compressed
	if !exists(archive) {
		return "", nil
	}
	return unpacked(archive, writeTree)
}

// symbols returns the ISF file of the image at stem: the one beside it, or the
// golden one of the kernel that the truth names, or "".
func symbols(stem, truth string) (string, error) {
	const suffix = ".isf.json.xz"
	if exists(stem + suffix) {
		return unpackedISF(stem + suffix)
	}
	if truth == "" {
		return "", nil
	}
	version, err := os.ReadFile(filepath.Join(truth, "version"))
	if err != nil {
		return "", err
	}
	_, release, _ := strings.Cut(string(version), "Linux version ")
	release, _, _ = strings.Cut(release, " ")
	// A Debian release such as 6.1.0-56-cloud-amd64 ends in flavour and
	// architecture, which the names of golden files leave out.
	release = strings.TrimSuffix(release, "-cloud-amd64")
	path, err := golden(release + ".dwarf2json" + suffix)
	if errors.Is(err, errAbsent) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return unpackedISF(path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Long skips t where tests are to be short: it runs where [Thorough] does.
func Long(t testing.TB) {
	t.Helper()
	if !Thorough() {
		t.Skip("it takes long: it runs where NODELENS_THOROUGH is set")
	}
}
