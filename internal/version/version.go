// Package version says which version of this module a program has.
package version

import (
	"runtime/debug"
	"sync"
)

// released is the version of a released program. The linker puts it in, for what release builds knows of no version control: see package
// main in release.
var released string

// Path is the path of this module.
const Path = "github.com/nodelens/nodelens"

// Program returns the version of the main module of this program: what it was released as, and else what go version -m shows. It is
// empty where the program does not say, and (devel) where it was built of files alone.
func Program() string {
	info, ok := debug.ReadBuildInfo()
	if released != "" || !ok {
		return released
	}
	return info.Main.Version
}

// Module returns the path of the main package of this program, and the version of this module in it. Empty is what the program does not say.
func Module() (tool, version string) { return module() }

var module = sync.OnceValues(func() (tool, version string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", released
	}
	return info.Path, of(info, released)
})

// of returns the version of this module by what a program says that it was built of.
func of(info *debug.BuildInfo, released string) string {
	if released != "" {
		return released
	}
	if info.Main.Path == Path {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == Path {
			return m.Version
		}
	}
	return ""
}
