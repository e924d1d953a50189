// Package inflate decodes gzip (RFC 1952) and zlib (RFC 1950) files, and the DEFLATE
// streams in them (RFC 1951), for package seekable: decoding can be taken up behind each
// piece, with the last 32 KiB of content and a few hundred bytes of state.
//
// A gzip file may have any number of members, and zeros behind the last, as they are on
// tapes. A file that ends early gives all whole symbols before its end; so a zlib stream
// that LiME has written with compress=1, and that lacks its end, is read as far as it
// goes. Checksums and lengths are verified; where one does not fit, what was decoded
// stands, as a [checkpoint.Mismatch] tells.
//
// Which codes are accepted is what compress/flate of the standard library accepts, and
// zlib: incomplete ones only where they have one code of one bit.
package inflate
