package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// licenceFiles are what the files are called that must go with what was built of a module.
var licenceFiles = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([._-].*)?$`)

// licences returns the licences of all that programs were built of: those of the modules, as they stand beside their code, and that of Go,
// whose library is in each program.
func (b *builder) licences(ctx context.Context, made []program) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("The programs beside this file have code of others in them, under these licences.\n")
	if err := licencesIn(&out, "Go, "+made[0].info.GoVersion, b.goroot); err != nil {
		return nil, err
	}
	for _, m := range modulesOf(made) {
		dir, err := b.ask(ctx, "list", "-m", "-f", "{{.Dir}}", m.Path)
		if err != nil {
			return nil, err
		}
		if err := licencesIn(&out, m.Path+" "+m.Version, strings.TrimSpace(dir)); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// licencesIn writes the licences that are in a directory. There must be one.
func licencesIn(out *bytes.Buffer, of, dir string) error {
	files, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	found := false
	for _, f := range files {
		if !f.Type().IsRegular() || !licenceFiles.MatchString(f.Name()) || filepath.Ext(f.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(out, "\n==== %s: %s ====\n\n%s\n", of, f.Name(), bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))))
	}
	if !found {
		return fmt.Errorf("%s has no licence in %s", of, dir)
	}
	return nil
}

// modulesOf returns the modules that any of the programs has, in order of their paths.
func modulesOf(made []program) []*debug.Module {
	var all []*debug.Module
	for _, p := range made {
		for _, m := range p.info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *debug.Module) int { return strings.Compare(a.Path+" "+a.Version, b.Path+" "+b.Version) })
	return slices.CompactFunc(all, func(a, b *debug.Module) bool { return a.Path == b.Path && a.Version == b.Version })
}
