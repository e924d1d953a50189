//go:build !linux

package kcore

// IsLive reports whether the named file is one of procfs, which only Linux has.
func IsLive(string) bool { return false }
