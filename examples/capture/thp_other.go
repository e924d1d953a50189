//go:build !linux

package main

func smallPages() {}
