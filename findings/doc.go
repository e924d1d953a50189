// Package findings says what is wrong on a node: a catalogue of rules over one report of package cos.
//
//	report, err := cos.AnalyzeNode(ctx, cos.File("node.lime"), &cos.Options{Sections: cos.AllSections})
//	result, err := findings.Run(ctx, findings.NewNode(report, nil), nil)
//	for _, f := range result.Findings {
//		fmt.Println(f.Severity, f.Confidence, f.Rule, f.Subject, f.Summary)
//	}
//
// A [Rule] is a Go value. Those that come with the package are [Catalogue]; who uses it adds others to that list or switches
// some off. A [Finding] says what it rests on, and of what is known to look the same without harm whether that was ruled out.
//
// # What is not known
//
// That a rule found nothing means that all that it looks at was there and was as it should be, and else the rule is among
// [Result].NotChecked with the reason: a section that the report lacks, or losses among what the rule reads. What is in one view
// of the kernel only is a sign of hiding only where the other view is whole.
//
// # Severity and confidence
//
// Severity is how bad it is if it is true; confidence, how sure it is that it is. Where what else could explain it was found to
// apply, the finding stays, with that cause and no more than [Low].
//
// # Text
//
// Values of evidence are text out of the image, as its processes chose it: nothing here is safe to print as it is. Values of
// environments and contents of files are never among it.
//
// # Not supported
//
// Rules in other languages, such as Sigma or Falco. No rule reads the contents of files or of user memory beyond what the
// sections of a report have.
package findings
