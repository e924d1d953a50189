package main

import (
	"os"
	"testing"
)

// TestMain keeps what the tests leave out of the user's cache.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "nodelens")
	if err != nil {
		panic(err)
	}
	if err := os.Setenv("NODELENS_CACHE", dir); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}
