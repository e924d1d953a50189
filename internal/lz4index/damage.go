package lz4index

import "github.com/nodelens/nodelens/internal/seekable"

// A Damage is a part of the content that can't be had.
type Damage = seekable.Damage
