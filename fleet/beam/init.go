package beam

import (
	"context"
	"fmt"
	"os"

	sdk "github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/nodelens/nodelens/fleet"
)

// childArgument is the only argument of a program that is to be a child.
const childArgument = "nodelens-fleet-child"

// analyser is how images are analysed; nil before Init.
var analyser *fleet.Analyser

// Init has this program analyse images as a says, and calls Beam's Init. Where the program was started as a child it does that one's work, and does not return; where it was started as a
// worker, neither. So it comes first in main, after flags are parsed; nothing may be written to standard output before.
func Init(a *fleet.Analyser) {
	analyser = a
	if len(os.Args) == 2 && os.Args[1] == childArgument {
		os.Exit(fleet.Child(context.Background(), a, os.Stdin, os.Stdout, os.Stderr))
	}
	sdk.Init()
}

// command is what starts a child.
func command() ([]string, error) {
	if analyser == nil {
		return nil, fmt.Errorf("beam: %w: main has not called Init", fleet.ErrChild)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("beam: %w: %w", fleet.ErrChild, err)
	}
	return []string{program, childArgument}, nil
}
