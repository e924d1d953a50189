// Package filesink writes files that are in memory to where a command is told: a listing, an archive, or a directory.
//
// A part of a file that is not in memory is never written as zeros: of such a file its parts are written, each under the name
// PATH.part-OFFSET, and the file is told.
package filesink
