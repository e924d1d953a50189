// Elf2lime turns the ELF core that QEMU writes of a guest's memory into a LiME image, as a capture inside the guest would have written it.
//
//	elf2lime -iomem FILE DUMP.elf OUT.lime
//
// The ranges are those that the guest's /proc/iomem calls "System RAM"; what else the core holds (video memory, firmware) is left out.
package main

import (
	"bufio"
	"debug/elf"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

// limeMagic and limeVersion open each record of the format (LiME's lime.h).
const (
	limeMagic   = 0x4C694D45
	limeVersion = 1
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("elf2lime: ")
	iomem := flag.String("iomem", "", "the guest's /proc/iomem")
	flag.Parse()
	if flag.NArg() != 2 || *iomem == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := convert(*iomem, flag.Arg(0), flag.Arg(1)); err != nil {
		log.Fatal(err)
	}
}

func convert(iomem, from, to string) error {
	text, err := os.Open(iomem)
	if err != nil {
		return err
	}
	defer text.Close()
	ranges, err := systemRAM(text)
	if err != nil {
		return err
	}
	core, err := elf.Open(from)
	if err != nil {
		return err
	}
	defer core.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	for _, r := range ranges {
		if err := writeRecord(w, core, r); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return errors.Join(w.Flush(), out.Close())
}

// span is a range of physical addresses, both ends included.
type span struct{ first, last uint64 }

// systemRAM returns the ranges of the outermost "System RAM" lines.
func systemRAM(iomem io.Reader) ([]span, error) {
	var all []span
	lines := bufio.NewScanner(iomem)
	for lines.Scan() {
		line := lines.Text()
		addr, name, ok := strings.Cut(line, " : ")
		if !ok || name != "System RAM" || strings.HasPrefix(line, " ") {
			continue
		}
		var r span
		if _, err := fmt.Sscanf(addr, "%x-%x", &r.first, &r.last); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 && lines.Err() == nil {
		return nil, errors.New("no System RAM in the iomem file")
	}
	return all, lines.Err()
}

// writeRecord writes a header and the memory of r, which must lie in one segment of the core.
func writeRecord(w io.Writer, core *elf.File, r span) error {
	for _, p := range core.Progs {
		if p.Type != elf.PT_LOAD || r.first < p.Paddr || r.last-p.Paddr >= p.Filesz {
			continue
		}
		header := []any{uint32(limeMagic), uint32(limeVersion), r.first, r.last, uint64(0)}
		for _, field := range header {
			if err := binary.Write(w, binary.LittleEndian, field); err != nil {
				return err
			}
		}
		_, err := io.Copy(w, io.NewSectionReader(p, int64(r.first-p.Paddr), int64(r.last-r.first+1)))
		return err
	}
	return fmt.Errorf("%#x-%#x is in no segment of the core", r.first, r.last)
}
