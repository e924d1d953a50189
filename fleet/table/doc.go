// Package table turns results of a fleet into tables of Parquet, for DuckDB and whatever else reads that.
//
//	Convert   results -> one file for each node and table
//	Merge     those files -> a few big ones, by table, day of the capture and cluster
//	SQL       questions to them
//
// # Schema
//
// Its name and version are in the metadata of each file, as nodelens.schema, the table's as nodelens.table. Each row begins with the columns of [Head]: of which node, image and
// time it is, and whether the node's report is whole; so that "none found" can be told from "could not be read". The table nodes has a row for each image, also for those that
// gave no report, and says which sections were read; gaps has what was lost.
//
// Text is valid UTF-8 always, in the form of [fleet.Text]: a byte that is not UTF-8 is \xNN, a backslash \x5c. Where a text is another than that, the column of the same name with
// _bytes appended has the exact bytes; else it is null. One name that is not UTF-8 in a column of text makes whole files unreadable to databases, and who runs code on a node chooses
// names. Kernel addresses are hexadecimal text, times microseconds in UTC; what is not known is null. Values that may be secrets are not in tables, unless the report shows them in
// arguments.
//
// It is a module of its own, so that the library does not need the library of Parquet.
package table
