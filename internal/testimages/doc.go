// Package testimages finds the memory images of real nodes that are too big for
// the repository, for tests to compare whole results against.
//
//	for _, img := range testimages.All(t) {
//		t.Run(img.Name, func(t *testing.T) {
//			// img.Path is the image, uncompressed; img.Truth the directory of
//			// what /proc said in the guest; img.ISF its symbols.
//		})
//	}
//
// [All] gives every image, [Named] one, [Dir] the directory they are in and
// [Golden] a file that a foreign tool made. Each skips the test, saying what it
// looked for, where there is none; so the tests of a clone that has nothing but
// the repository pass.
//
// [Bundled] gives the one image that is in the repository, which is always there.
//
// Images are looked for in the directory that NODELENS_IMAGES names, and nowhere else:
// whole nodes take minutes, so that a plain go test ./... is fast wherever it runs. The
// directory holds, for each image, either form of
//
//	NAME.lime, NAME.elf      NAME.lime.zst, NAME.elf.zst     the image
//	NAME/                    NAME.truth.tar.zst              the truth
//	NAME.isf.json.xz                                         its symbols (ISF)
//
// Truth and symbols may be missing. Foreign results, among them symbols for images
// that have none beside them, are looked for in NODELENS_GOLDEN. A variable that names
// a directory which isn't there fails the test, for that is a mistake and not a lack.
//
// What is compressed is unpacked once, into a directory under [os.TempDir] that
// all test processes of one user share.
package testimages
