// Package beam analyses images in pipelines of Apache Beam, on Dataflow, Flink or whatever else runs those.
//
//	images (lines of a manifest) -> Analyze -> reports
//	                                       \-> failures
//
// [AnalyzeFn] does not analyse in its own process: it starts a child for each image, as [fleet.Runner] has it. For Beam an element that
// fails, fails its bundle, and after a few attempts the whole job with what is good in it; a panic in a goroutine or memory without end ends the worker. So an
// image that can't be analysed never fails its element: it is a failure, which is an element of the second collection.
//
// The program of a pipeline is that of its workers, and of the children too: its main begins with [Init].
//
// It is a module of its own, because Beam needs some 70 modules, a gigabyte of sources.
package beam
