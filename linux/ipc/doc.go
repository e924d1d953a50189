// Package ipc reads what processes share without files: shared memory, semaphores and messages of System V, and POSIX message queues, of each IPC
// namespace, with their content.
//
//	for ns, err := range ipc.New(k).Namespaces(ctx, tasks) {
//		for _, q := range ns.Queues {
//
// All is reached from the namespaces of tasks, so that nothing here needs a symbol.
//
// # Not supported
//
// Namespaces that no task is in are not found. Shared memory that was swapped out is not in its content.
package ipc
