// Package nodetest makes reports of nodes that no image is at hand of: big ones, and ones whose every name is hostile. It is for
// tests of what is made of reports.
package nodetest
