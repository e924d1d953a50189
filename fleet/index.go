package fleet

import (
	"errors"
	"fmt"
	"strconv"
)

// The reasons for which there is no index.
var (
	// ErrNoIndex: the environment names none.
	ErrNoIndex = errors.New("no index of an item")
	// ErrIndex: it is no number of an item of the manifest.
	ErrIndex = errors.New("not the index of an item")
)

// IndexVariables are the variables by which engines tell a process which unit of work it is, counted from 0: an Indexed Job of Kubernetes, a task of
// Google's Cloud Batch, a child of an array job of AWS Batch, a task of an array of Slurm.
var IndexVariables = []string{"JOB_COMPLETION_INDEX", "BATCH_TASK_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID"}

// EnvironmentIndex returns the index that an engine gave, by the first of [IndexVariables] that lookup, such as [os.LookupEnv], knows. Two that
// disagree are an error, as is none: it wraps [ErrNoIndex] or [ErrIndex].
func EnvironmentIndex(lookup func(name string) (string, bool)) (int, error) {
	index, by := 0, ""
	for _, name := range IndexVariables {
		value, ok := lookup(name)
		if !ok || value == "" {
			continue
		}
		n, err := strconv.Atoi(value)
		switch {
		case err != nil || n < 0:
			return 0, fmt.Errorf("%w: %s is %q", ErrIndex, name, value)
		case by != "" && n != index:
			return 0, fmt.Errorf("%w: %s is %d, but %s is %d", ErrIndex, by, index, name, n)
		}
		index, by = n, name
	}
	if by == "" {
		return 0, fmt.Errorf("%w: none of %v is set", ErrNoIndex, IndexVariables)
	}
	return index, nil
}

// Item returns the item of an index; the error wraps [ErrIndex].
func (m Manifest) Item(index int) (Item, error) {
	if index < 0 || index >= len(m) {
		return Item{}, fmt.Errorf("%w: %d, of %d from 0", ErrIndex, index, len(m))
	}
	return m[index], nil
}
