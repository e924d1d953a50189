// Package diff says what came, went and changed between two reports of package cos: of one node at two times, or of two nodes.
//
//	result := diff.Compare(before, after)
//	for _, c := range result.Changes {
//		fmt.Println(c.What, c.Kind, c.Pod, c.Object, c.Fields)
//	}
//
// # What is the same
//
// Reports of one boot of one node (the boot times and hosts agree) have the same objects where the kernel says so: a process by its PID
// and its start, a pod by its UID, a container by its ID, a connection by its ends, a BPF program by its ID and tag. Of other boots or other nodes these numbers
// say nothing: names are compared then, and how many there are of each. Threads of the kernel are left out then, and its workers always.
//
// # What is not known
//
// What one of the reports lacks or has lost is no change. A kind of which a report has no section is among Result.Unknown. Where
// one of the reports has losses among objects of a kind, what came or went of it may have been lost in the other: the Change is not
// Sure then.
//
// # Text
//
// Names are text out of the images: nothing here is safe to print as it is. Values of environments are compared by their digests and never told.
package diff
