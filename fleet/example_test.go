package fleet_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nodelens/nodelens/fleet"
)

// A program that analyses all images of a directory: it starts itself anew for each.
func Example() {
	ctx := context.Background()
	analyser := &fleet.Analyser{}
	if len(os.Args) == 2 && os.Args[1] == "child" {
		os.Exit(fleet.Child(ctx, analyser, os.Stdin, os.Stdout, os.Stderr))
	}
	results, err := fleet.OpenResults("results")
	if err != nil {
		log.Fatal(err)
	}
	images, err := fleet.Scan("images")
	if err != nil {
		log.Fatal(err)
	}
	r := &fleet.Runner{
		Command: []string{os.Args[0], "child"}, Analyser: analyser, Results: results,
		Limits:   fleet.Limits{Memory: 1 << 30, CPU: 10 * time.Minute, Deadline: time.Hour},
		Progress: func(p fleet.Progress) { fmt.Println(p.Result.Item.URI, p.Result.Status) },
	}
	sum, err := r.Run(ctx, images)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum)
}
