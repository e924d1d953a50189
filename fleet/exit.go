package fleet

// Exit statuses of a child, and of a command that works on one item.
const (
	ExitWhole    = 0
	ExitNotWhole = 3
	ExitPoison   = 42
	ExitTryAgain = 1
)

// exitCPU is how a child ends that is over its limit of CPU time.
const exitCPU = 44
