// Package rpm reads the files in RPM packages, as kernel-debuginfo of Fedora, Red Hat and
// Azure Linux is one.
//
// A package is a lead, two headers and a payload ("RPM Package format" of rpm.org, version
// 4): [Payload] says where that begins. It is a cpio archive, compressed by what its first
// bytes tell; [NewReader] reads the archive, in the format "newc" (cpio(5), "New ASCII
// Format").
//
// # Not supported
//
// What the headers say; payloads of files of 4 GiB and more, which have a format of their
// own.
package rpm
