package btfconv

import "errors"

// ErrDamaged is the reason of every error that says that a table is there but
// can't be right: overwritten, cut short, or of another kernel. No part of such
// a table is used.
var ErrDamaged = errors.New("damaged")
