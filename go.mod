module github.com/nodelens/nodelens

go 1.26.8
