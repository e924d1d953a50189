package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/nodelens/nodelens/cos"
)

// sectionFlags are what the command line says of which sections the report is to have.
type sectionFlags struct {
	with cos.Sections
	all  bool
}

// register adds the flags to those of a command.
func (s *sectionFlags) register(f *flag.FlagSet) {
	f.Func("with", fmt.Sprintf("add `SECTIONS` to the report, separated by commas: %v; may be given several times", cos.AllSections), func(names string) error {
		more, err := cos.ParseSections(names)
		if err == nil && s.with&more != 0 {
			err = fmt.Errorf("%v is asked for twice", s.with&more)
		}
		s.with |= more
		return err
	})
	f.BoolVar(&s.all, "all", false, "add all sections to the report")
}

// check refuses what contradicts itself.
func (s *sectionFlags) check() error {
	if s.all && s.with != 0 {
		return errors.New("-all and -with contradict each other: -all has all sections")
	}
	return nil
}

// sections returns those that were asked for.
func (s *sectionFlags) sections() cos.Sections {
	if s.all {
		return cos.AllSections
	}
	return s.with
}
