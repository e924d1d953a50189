// Package kstruct gives typed views of the structures of a kernel, and walks over its
// containers.
package kstruct
