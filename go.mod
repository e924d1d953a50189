module github.com/nodelens/nodelens

go 1.26.8

require github.com/google/go-cmp v0.7.0

require github.com/pierrec/lz4/v4 v4.1.33 // indirect
