package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/fleet/deploy"
)

// What manifests say is tested where the types of Kubernetes are, in interop/kubernetes; here, what is refused.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := deploy.Options{Image: "i", Claim: "c"}
	with := func(change func(o *deploy.Options)) deploy.Options {
		o := good
		change(&o)
		return o
	}
	for what, do := range map[string]func(w io.Writer) error{
		"no images": func(w io.Writer) error { return deploy.Indexed(w, 0, good) },
		"no nodes":  func(w io.Writer) error { return deploy.Live(w, nil, nil, good) },
		"two nodes": func(w io.Writer) error { return deploy.Live(w, []string{"a", "a"}, nil, good) },
		"a line":    func(w io.Writer) error { return deploy.Live(w, []string{"a\nb"}, nil, good) },
		"no image":  func(w io.Writer) error { return deploy.Indexed(w, 1, deploy.Options{Claim: "c"}) },
		"no claim":  func(w io.Writer) error { return deploy.Indexed(w, 1, deploy.Options{Image: "i"}) },
		"name": func(w io.Writer) error {
			return deploy.Indexed(w, 1, with(func(o *deploy.Options) { o.Name = "x\n  evil: true" }))
		},
		"namespace": func(w io.Writer) error {
			return deploy.Indexed(w, 1, with(func(o *deploy.Options) { o.Namespace = "-" }))
		},
		"memory":     func(w io.Writer) error { return deploy.Indexed(w, 1, with(func(o *deploy.Options) { o.Memory = -1 })) },
		"many nodes": func(w io.Writer) error { return deploy.Live(w, strings.Fields(strings.Repeat("n", 300)), nil, good) },
	} {
		var b bytes.Buffer
		if err := do(&b); !errors.Is(err, deploy.ErrOptions) || b.Len() != 0 {
			t.Errorf("%s: %v, %q", what, err, b.String())
		}
	}
}
