// Package nodeimage is what commands have in common that read the image of a node: the flags that say how it is opened, the
// bundled image, and what is said where there is no kernel in it.
package nodeimage

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
)

// Flags are what a command line says of how an image is opened.
type Flags struct {
	Symbols Symbols
	Raw     bool
	Hash    bool
	Scan    bool
	NoCache bool
	Secrets bool
	KeyFile string // of the key of digests
	Verbose bool   // errors are told in full

	key []byte // what KeyFile holds
}

// New returns flags that are called with dash before their names: - or --.
func New(dash string) *Flags { return &Flags{Symbols: Symbols{dash: dash}} }

// Register adds the flags to those of a command.
func (f *Flags) Register(set *flag.FlagSet) {
	f.Symbols.register(set)
	set.BoolVar(&f.Raw, "raw", false, "take the image for nothing but memory, without headers, whatever its content looks like")
	set.BoolVar(&f.Hash, "sha256", false, "read all of the image for its SHA-256, which the report names")
	set.BoolVar(&f.Scan, "scan", false, "search all of memory for processes that the kernel's lists lack, also where the lists agree")
	set.BoolVar(&f.NoCache, "no-cache", false, "keep nothing that makes the next run faster: no report, no index of a compressed image, no symbols that were converted")
	set.BoolVar(&f.Secrets, "show-secrets", false, "show what may be secrets, which is else hidden: values of environments, passwords and tokens in arguments, what keys hold")
	set.StringVar(&f.KeyFile, "secret-key", "", "make the digests of what is hidden with the key in `FILE`, so that they compare with those of other nodes and captures")
}

// Check refuses what contradicts itself, and reads the key of digests.
func (f *Flags) Check() error {
	if err := f.Symbols.check(); err != nil {
		return err
	}
	return f.readKey()
}

// The size of the file of a key, in bytes.
const (
	leastKey = 16
	mostKey  = 4096
)

// readKey reads the key of digests, where one is named.
func (f *Flags) readKey() error {
	if f.KeyFile == "" {
		return nil
	}
	file, err := os.Open(f.KeyFile)
	if err != nil {
		return err
	}
	defer file.Close()
	f.key, err = io.ReadAll(io.LimitReader(file, mostKey+1))
	if err == nil && (len(f.key) < leastKey || len(f.key) > mostKey) {
		err = fmt.Errorf("a key has %d to %d bytes, the best are random: %s has other than that", leastKey, mostKey, f.KeyFile)
	}
	return err
}

// Options returns how to open the image.
func (f *Flags) Options(args []string, progress func(stage string, done, total int64)) *cos.Options {
	opts := &cos.Options{Hash: f.Hash, Arguments: args, Progress: progress, Vmlinux: f.Symbols.Vmlinux, Secrets: f.Secrets, SecretKey: f.key}
	var store *symbols.Store // nil, too, where there is no directory for it
	if !f.NoCache {
		opts.IndexDir = command.CacheDir("index")
		opts.Keep = &cos.Keep{Dir: command.CacheDir("reports"), Program: command.Build(), Own: symbols.FromImage}
		store, _ = symbols.DefaultStore()
	}
	if store != nil {
		own, err := layouts.Dir(filepath.Join(store.Dir(), "layouts"))
		if err == nil { // a directory that can't be read has none
			opts.Layouts = layouts.Join(own, layouts.Known())
		}
	}
	source := f.Symbols.options(store, progress)
	source.Layouts = opts.Layouts
	opts.SymbolSource = source
	if f.Scan {
		opts.TaskScan = linux.ScanAlways
	}
	if f.Raw {
		opts.Format = image.FormatRaw
	}
	return opts
}
