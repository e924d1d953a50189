// Package report has tests that hold what package report of Nodelens writes against foreign programs: the page against a browser and
// an accessibility checker. It is a module of its own so that who imports the library downloads none of that.
package report
