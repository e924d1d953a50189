// Package report turns a node's report and the findings about it into what people and other tools take: one HTML page to
// read, a timeline, and exports.
//
// [HTML] writes the page: a single file that loads nothing, opens from disk, and begins with what is wrong. It is safe by
// construction. Names in an image are chosen by whoever ran code on the node, so all text goes through one escape and then
// stands in the page as data, which the page's script shows as text and never as markup; a content security policy forbids
// every script and style but the page's own, every request, and the calls that make markup of text.
//
// [Timeline] has every time that a report knows, in one order. [WriteTimesketch] writes it for Timesketch, [WriteOCSF] what
// is wrong and what ran in the Open Cybersecurity Schema Framework, [WriteJSONL] and [WriteCSV] the records of a report for
// other tools, [WriteMermaid] and [WriteDot] who talks to whom, pod by pod.
//
// All of them write to where they are told, and the same for the same report. What looks like a secret in arguments and
// environments is left out of all but where [Options].Secrets asks for it.
package report
