package archtest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasons compares the table of codes in the documentation of vmem.Reason with the
// sentinels of the house.
func TestReasons(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "vmem", "reason.go"))
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(doc), "\ntype Reason")
	var documented []string
	for _, row := range regexp.MustCompile(`(?m)^//\t([a-z-]+)  +\S`).FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	documented = slices.DeleteFunc(documented, func(code string) bool { return code == "code" }) // the head
	// These are of errors that are no sentinels: see vmem.ReasonOf.
	used := map[string]bool{"input-output": true, "canceled": true, "other": true}
	if err := sentinels(filepath.Join("..", ".."), used); err != nil {
		t.Fatal(err)
	}
	slices.Sort(documented)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), documented); diff != "" {
		t.Errorf("documented codes of reasons (-used +documented):\n%s", diff)
	}
}

var newReason = regexp.MustCompile(`\bNewReason\("([^"]*)"`)

// sentinels adds the codes with which the module at root calls NewReason outside tests.
func sentinels(root string, codes map[string]bool) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && outside(path, d.Name()):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, call := range newReason.FindAllSubmatch(text, -1) {
			codes[string(call[1])] = true
		}
		return err
	})
}
