// Package archtest holds the import rules of docs/architecture.md as a test: which
// room of the house may use which other, and which foreign modules.
//
// The rules are read off the source files, whatever system they are built for,
// and are for what importers of the library get: files ending in _test.go, and
// packages under internal that are there for tests alone, are free.
package archtest
