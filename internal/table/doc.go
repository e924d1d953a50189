// Package table prints rows of data: as a table that fits a terminal, as JSON, as JSON lines or as CSV.
//
// A row is a structure. Its fields are the members of JSON and the columns of CSV by their tags json, as package jsonx has
// them. Those with a tag col are columns of the table too, in their order:
//
//	Name string    `json:"name" col:"NAME"`
//	Size int64     `json:"size" col:"SIZE,size"`
//	Addr vmem.VirtAddr `json:"address" col:"ADDRESS,wide"`
//
// After the heading may stand
//
//	wide   it is shown in the wide table only
//	words  a list of arguments, shown as a shell would take them
//	line   words of the tool that may hold names
//	size   a number of bytes
//	tree   moved to the right by the depth of the row: see [Deep]
//	flex   cut where the table is too wide for the terminal
//
// Numbers stand on the right. What is not known or does not apply is a dash, and no text out of an image can pass for that: what is
// null in JSON, the zero of texts, times and addresses, and sets without members. Text is made safe by package text, and in CSV also for spreadsheets, which
// take what begins with =, +, - or @ for a formula: it has an apostrophe before it.
package table
