package xzdec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// A checkID says which check follows each block of a stream: section 2.1.1.2.
type checkID byte

const (
	checkNone   checkID = 0
	checkCRC32  checkID = 1
	checkCRC64  checkID = 4
	checkSHA256 checkID = 10
	maxCheckID  checkID = 15
)

func (id checkID) String() string {
	switch id {
	case checkCRC32:
		return "CRC-32"
	case checkCRC64:
		return "CRC-64"
	case checkSHA256:
		return "SHA-256"
	}
	return "check"
}

// size returns how many bytes the check takes.
func (id checkID) size() int {
	if id == checkNone {
		return 0
	}
	return 4 << ((id - 1) / 3)
}

// A check is that of what was decoded of a block so far.
type check struct {
	id  checkID
	crc uint64
	sha hash.Hash
}

var crc64Table = crc64.MakeTable(crc64.ECMA)

func newCheck(id checkID) check {
	c := check{id: id}
	if id == checkSHA256 {
		c.sha = sha256.New()
	}
	return c
}

func (c check) clone() check {
	if c.sha == nil {
		return c
	}
	twin := newCheck(c.id)
	if from, ok := c.sha.(hash.Cloner); ok {
		if sha, err := from.Clone(); err == nil {
			twin.sha = sha
		}
	}
	return twin
}

func (c *check) add(p []byte) {
	switch c.id {
	case checkCRC32:
		c.crc = uint64(crc32.Update(uint32(c.crc), crc32.IEEETable, p))
	case checkCRC64:
		c.crc = crc64.Update(c.crc, crc64Table, p)
	case checkSHA256:
		c.sha.Write(p)
	}
}

// fits reports whether the check is the stored one. Those that are not known do.
func (c *check) fits(stored []byte) bool {
	switch c.id {
	case checkCRC32:
		return uint64(binary.LittleEndian.Uint32(stored)) == c.crc
	case checkCRC64:
		return binary.LittleEndian.Uint64(stored) == c.crc
	case checkSHA256:
		return bytes.Equal(c.sha.Sum(nil), stored)
	}
	return true
}
