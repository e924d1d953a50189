module github.com/nodelens/nodelens

go 1.26.8

require github.com/go-delve/delve v1.27.2 // indirect
