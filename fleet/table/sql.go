package table

import "embed"

// SQL are questions for DuckDB, to be asked in the directory of the tables; views.sql comes first. Their comments say what to set.
//
//go:embed sql/*.sql
var SQL embed.FS
