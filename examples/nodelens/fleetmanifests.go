package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/fleet/deploy"
)

// manifests returns the command that prints what kubectl applies.
func (f *fleetApp) manifests() *cobra.Command {
	c := &cobra.Command{
		Use: "manifests", Short: "Print manifests for Kubernetes",
		Long: "Print manifests for kubectl apply: of a Job for images on a volume, or of a Job for each node. docs/fleet.md says what to prepare.",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%q is neither images nor nodes", args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(f.manifestOfImages(), f.manifestOfNodes())
	return c
}

// deployFlags adds the flags of manifests.
func deployFlags(c *cobra.Command, o *deploy.Options) {
	flags := c.Flags()
	flags.StringVar(&o.Name, "name", "nodelens", "the `NAME` of the Job, or what names of Jobs begin with")
	flags.StringVar(&o.Namespace, "namespace", "nodelens", "the `NAMESPACE` of the Job")
	flags.StringVar(&o.Image, "image", "", "the container `IMAGE`, whose entry point is nodelens")
	flags.StringVar(&o.Claim, "claim", "", "the PersistentVolumeClaim `NAME` of the volume with the results, which all pods can mount")
	flags.StringVar(&o.Manifest, "manifest", "manifest.jsonl", "the `PATH` of the manifest on the volume")
	flags.StringVar(&o.Results, "results", "results", "the `PATH` of the results on the volume")
	flags.Int64Var(&o.Memory, "memory", 1024, "how much memory an image may take, in `MIB`; the container may have half as much again")
	flags.DurationVar(&o.Deadline, "deadline", 0, "how long an attempt may take; 0: an hour")
	flags.IntVar(&o.Attempts, "attempts", 3, "how often an image is tried")
	flags.IntVar(&o.Parallel, "parallel", 10, "how many pods run at a time")
	_ = c.MarkFlagRequired("image") // fails where there is no such flag
	_ = c.MarkFlagRequired("claim")
}

// print prints a manifest.
func (f *fleetApp) print(write func(w io.Writer) error) error {
	w := bufio.NewWriter(f.stdout)
	err := write(w)
	if errors.Is(err, deploy.ErrOptions) {
		return usageError{err}
	}
	return errors.Join(err, w.Flush())
}

func (f *fleetApp) manifestOfImages() *cobra.Command {
	var o deploy.Options
	c := &cobra.Command{
		Use: "images MANIFEST.jsonl", Short: "Print an Indexed Job that analyses the images of a manifest", Args: oneImage,
		Example: examples("nodelens fleet manifests images manifest.jsonl --image registry.example/nodelens:v1 --claim images | kubectl apply -f -"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := fleet.ReadManifest(args[0])
			if err != nil {
				return err
			}
			return f.print(func(w io.Writer) error { return deploy.Indexed(w, len(m), o) })
		},
	}
	deployFlags(c, &o)
	return c
}

func (f *fleetApp) manifestOfNodes() *cobra.Command {
	var o deploy.Options
	c := &cobra.Command{
		Use: "nodes NODE...", Short: "Print a Job for each node that analyses its memory where it is", Args: cobra.MinimumNArgs(1),
		Long:    "Print a Job for each node that analyses its memory where it is: only the report leaves the node. - reads names from standard input.",
		Example: examples("kubectl get nodes -o name | sed s,^node/,, | nodelens fleet manifests nodes - --label cluster=prod --image registry.example/nodelens:v1 --claim results"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "-" {
				text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<24))
				if err != nil {
					return err
				}
				args = strings.Fields(string(text))
			}
			one := fleet.Manifest{{}}
			if err := f.label(one); err != nil {
				return err
			}
			return f.print(func(w io.Writer) error { return deploy.Live(w, args, one[0].Labels, o) })
		},
	}
	deployFlags(c, &o)
	c.Flags().StringArrayVar(&f.labels, "label", nil, "what is known of the nodes, such as cluster=prod: `NAME=VALUE`; may be given several times")
	return c
}
