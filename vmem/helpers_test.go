package vmem_test

import "github.com/google/go-cmp/cmp/cmpopts"

// equateEmpty makes cmp treat nil and empty slices alike.
var equateEmpty = cmpopts.EquateEmpty()
