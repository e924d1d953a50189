package lz4index

import "github.com/nodelens/nodelens/internal/checkpoint"

// A Damage is a part of the content that can't be had.
type Damage = checkpoint.Damage
