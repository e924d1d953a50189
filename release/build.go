package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/version"
)

// commands are where the main packages of the module are.
const commands = "./examples/..."

// elsewhere are commands that serve on one system alone.
var elsewhere = map[string]string{"capture": "linux"}

// settings are of the go command all that its output depends on beside the files, the version of Go and the target: what is set in the
// environment, or by go env -w, has no say.
var settings = []string{
	"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0",
}

// A program is one that was built.
type program struct {
	name string
	path string // of the file
	info *debug.BuildInfo
	sum  string // SHA-256, in hexadecimal
}

// A builder builds the commands of the module that it is run in.
type builder struct {
	version  string
	goroot   string
	root     string // the directory of the module
	packages []string
	progress io.Writer
}

// newBuilder returns a builder for the module of the working directory.
func newBuilder(ctx context.Context, version string, progress io.Writer) (*builder, error) {
	b := &builder{version: version, progress: progress}
	said, err := b.ask(ctx, "env", "GOVERSION", "GOROOT", "GOMOD")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if len(lines) != 3 {
		return nil, fmt.Errorf("go env says %q", said)
	}
	// The archives are compressed by the Go that this program was built with, which so must be the one that builds the others.
	if lines[0] != runtime.Version() {
		return nil, fmt.Errorf("this program is of %s, and the go command of %s: run it by that go command", runtime.Version(), lines[0])
	}
	b.goroot, b.root = lines[1], filepath.Dir(lines[2])
	said, err = b.ask(ctx, "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, commands)
	if err != nil {
		return nil, err
	}
	b.packages = strings.Fields(said)
	slices.Sort(b.packages)
	if len(b.packages) == 0 || !strings.HasPrefix(b.packages[0], modulePath+"/") {
		return nil, fmt.Errorf("%s is not the module %s", b.root, modulePath)
	}
	return b, nil
}

// modulePath is the path of the module that is released.
const modulePath = version.Path

// ask runs the go command in the module, and returns what it prints.
func (b *builder) ask(ctx context.Context, args ...string) (string, error) {
	return b.goCommand(ctx, nil, args...)
}

func (b *builder) goCommand(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.root, &out, &errs
	cmd.Env = slices.Concat(os.Environ(), settings, env)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// build builds the commands for a target into a directory, and returns them in order of their names.
func (b *builder) build(ctx context.Context, target, dir string) ([]program, error) {
	system, arch, _ := strings.Cut(target, "/")
	fmt.Fprintf(b.progress, "building %s\n", target)
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755) //nolint:gosec // it is for others
	}
	if err != nil {
		return nil, err
	}
	ldflags := fmt.Sprintf("-s -w -X %s/internal/version.released=%s", modulePath, b.version)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", dir + string(filepath.Separator)}
	var files []string
	for _, p := range b.packages {
		name := p[strings.LastIndex(p, "/")+1:]
		if only, ok := elsewhere[name]; ok && only != system {
			continue
		}
		if args = append(args, p); system == "windows" {
			name += ".exe"
		}
		files = append(files, filepath.Join(dir, name))
	}
	if _, err := b.goCommand(ctx, []string{"GOOS=" + system, "GOARCH=" + arch}, args...); err != nil {
		return nil, err
	}
	return programsOf(files)
}

// programsOf reads what programs say of what they were built of.
func programsOf(files []string) ([]program, error) {
	made := make([]program, len(files))
	for i, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, err
		}
		sum, err := sumOf(file)
		if err != nil {
			return nil, err
		}
		made[i] = program{filepath.Base(file), file, info, sum}
	}
	return made, nil
}

// release makes the archive of a target and its bill of materials.
func (b *builder) release(ctx context.Context, target, out string) (err error) {
	dir, err := os.MkdirTemp("", "nodelens-release")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	made, err := b.build(ctx, target, dir)
	if err != nil {
		return err
	}
	licences, err := b.licences(ctx, made)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("nodelens_%s_%s", b.version, strings.ReplaceAll(target, "/", "_"))
	entries := []entry{{name: "THIRD-PARTY-LICENSES", content: licences}}
	for _, file := range []string{"LICENSE", "CHANGELOG.md"} {
		entries = append(entries, entry{name: file, path: filepath.Join(b.root, file)})
	}
	for _, p := range made {
		entries = append(entries, entry{name: p.name, path: p.path, program: true})
	}
	if err := writeArchive(filepath.Join(out, name), strings.HasPrefix(target, "windows/"), entries); err != nil {
		return err
	}
	return command.Create(filepath.Join(out, name+".cdx.json"), func(w io.Writer) error { return writeSBOM(w, "nodelens", b.version, made) })
}
