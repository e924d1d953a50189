// Package fleet analyses the memory images of many nodes.
//
// One unit of work is one image, one child process and one result. The child is the caller's own program, started anew: a panic in
// any of its goroutines, memory without end and a loop cost that image only, and its limits are those of a process. [Child] is what
// the child does, and [Runner] starts children: one for one image ([Runner.Do]), as a job of Kubernetes, AWS Batch or Slurm does by an
// index into a [Manifest], or as many at a time as there are processors ([Runner.Run]).
//
//	items   a manifest, one image a line      ReadManifest, Scan
//	child   image -> result                   Child, Analyser
//	pool    items -> children                 Runner
//	result  a file in a directory             Results, Result
//	count   whole, not whole, failed, silent  Summarize
//
// # Results
//
// Every image gets a result: a report, a report with gaps, or the [Failure] to make one, with its reason. A result has a key, made of
// the item's name, the image's [Identity], the version of the analyser and its settings; it is written to a temporary file and renamed.
// So what has a result is skipped, and a run that was broken off goes on where it was. Failures that may pass are tried again in the
// next run.
//
// # Exit statuses
//
// A child, and a command that works on one item, ends with one of
//
//	0    the report is whole
//	3    it is not: it says what is missing
//	42   poison: there is no report, and trying again makes none
//	1    there is no report, and trying again may help
//
// # Not supported
//
// Results are files of a directory, on a volume that all workers share. Memory is limited on Linux; elsewhere Go's garbage collector
// alone keeps to the limit.
package fleet
