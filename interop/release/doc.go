// Package release has a test that holds the bills of materials that package main in release of Nodelens writes against CycloneDX: its schema, and
// its own library. It is a module of its own so that who imports the library downloads none of that.
package release
