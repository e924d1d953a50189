package linux

// A TaskScan says when all of memory is searched for tasks.
type TaskScan uint8

const (
	// ScanIfNeeded searches where views of the tasks disagree, where parts of them are lost,
	// or where the kernel's counts do not fit what was found. It does not on a running
	// machine.
	ScanIfNeeded TaskScan = iota
	// ScanAlways searches always.
	ScanAlways
	// ScanNever searches never.
	ScanNever
)
