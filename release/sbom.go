package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// A bill is a bill of materials: the part of CycloneDX 1.6 (ECMA-424) that is said here. It has no time, for that would make it another each time.
type bill struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Lifecycles []phase   `json:"lifecycles"`
	Component  component `json:"component"`
}

type phase struct {
	Phase string `json:"phase"`
}

type component struct {
	Type       string      `json:"type"`
	Ref        string      `json:"bom-ref"`
	Name       string      `json:"name"`
	Version    string      `json:"version,omitempty"`
	Hashes     []hash      `json:"hashes,omitempty"`
	Licenses   []licence   `json:"licenses,omitempty"`
	PURL       string      `json:"purl,omitempty"`
	Properties []property  `json:"properties,omitempty"`
	Components []component `json:"components,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licence struct {
	License licenceID `json:"license"`
}

type licenceID struct {
	ID string `json:"id"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// writeSBOM writes a bill of materials of programs by what they say of themselves, as go version -m shows it.
func writeSBOM(w io.Writer, name, version string, made []program) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(newBill(name, version, made))
}

func newBill(name, version string, made []program) *bill {
	b := &bill{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Serial: serial(made), Metadata: metadata{Lifecycles: []phase{{"post-build"}}, Component: component{Type: "application", Ref: "release", Name: name, Version: version}},
	}
	whole := dependency{Ref: "release"}
	main := &b.Metadata.Component
	if first := made[0].info.Main; first.Path == modulePath {
		main.PURL, main.Licenses = purl(first.Path, version), []licence{{licenceID{"Apache-2.0"}}}
	}
	var needs []dependency
	for _, p := range made {
		c := component{
			Type: "application", Ref: "program:" + p.name, Name: p.name, Version: version,
			Hashes: []hash{{"SHA-256", p.sum}}, Properties: []property{{"go:package", p.info.Path}},
		}
		for _, s := range p.info.Settings {
			c.Properties = append(c.Properties, property{"go:build:" + s.Key, s.Value})
		}
		main.Components = append(main.Components, c)
		whole.DependsOn = append(whole.DependsOn, c.Ref)
		needs = append(needs, dependency{c.Ref, refsOf(p)})
	}
	b.Dependencies = append([]dependency{whole}, needs...)
	b.Components = libraries(made)
	for _, c := range b.Components {
		b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref})
	}
	return b
}

// refsOf returns what a program was linked of: a program does not say which module needs which.
func refsOf(p program) []string {
	refs := []string{purl("std", p.info.GoVersion)}
	for _, m := range modulesOf([]program{p}) {
		refs = append(refs, purl(m.Path, m.Version))
	}
	return refs
}

// libraries are the modules that programs were linked of, and Go's library of each Go.
func libraries(made []program) []component {
	var all []component
	seen := map[string]bool{}
	for _, p := range made {
		c := library(&debug.Module{Path: "std", Version: p.info.GoVersion})
		if c.Licenses = []licence{{licenceID{"BSD-3-Clause"}}}; !seen[c.Ref] {
			all = append(all, c)
		}
		seen[c.Ref] = true
	}
	for _, m := range modulesOf(made) {
		all = append(all, library(m))
	}
	return all
}

func library(m *debug.Module) component {
	c := component{Type: "library", Ref: purl(m.Path, m.Version), Name: m.Path, Version: m.Version, PURL: purl(m.Path, m.Version)}
	if m.Sum != "" { // of the files of the module and not of an archive: no hash as CycloneDX has them
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c
}

// purl returns the package URL of a module: its path in lower case, as the type golang has it. That of Go's library is of the number of its
// version, as others write it.
func purl(path, version string) string {
	if path == "std" {
		version = strings.TrimPrefix(version, "go")
	}
	if i := strings.IndexAny(version, " ("); i >= 0 { // (devel), or what an experiment adds to the version of Go
		version = version[:i]
	}
	if version == "" {
		return "pkg:golang/" + strings.ToLower(path)
	}
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// serial returns a UUID (version 8 of RFC 9562) of the programs: the same ones have the same.
func serial(made []program) string {
	h := sha256.New()
	for _, p := range made {
		fmt.Fprintf(h, "%s %s\n", p.sum, p.name)
	}
	u := h.Sum(nil)[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
