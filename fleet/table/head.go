package table

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/vmem"
)

// Schema is the name and version of the tables' schema.
const Schema = "nodelens/fleet/tables/v1"

// A Head is what every row begins with.
type Head struct {
	Node        string `parquet:"node"`    // host name; empty where there is no report
	Cluster     string `parquet:"cluster"` // the item's label
	Item        string `parquet:"item"`    // what results call it
	ImageDigest string `parquet:"image_digest"`
	CapturedAt  int64  `parquet:"captured_at,optional,timestamp(microsecond)"`
	Whole       bool   `parquet:"whole"` // nothing was lost of the node's report
}

// A node is a result that rows are made of.
type node struct {
	Head
	result *fleet.Result
	report *cos.NodeReport // nil where it failed
	found  *findings.Result
	names  map[string]string // NAMESPACE/NAME of pods by UID
}

// newNode reads a result.
func newNode(file string) (*node, error) {
	r, report, found, err := fleet.Read(file)
	if err != nil {
		return nil, err
	}
	n := &node{result: r, report: report, found: found, names: map[string]string{}}
	n.Head = Head{
		Node: r.Node, Cluster: fleet.Text(r.Item.Labels["cluster"]), Item: fleet.Text(r.Item.Name()), ImageDigest: r.Digest,
		CapturedAt: micros(r.Captured), Whole: r.Status == fleet.Whole,
	}
	if report != nil {
		for i := range report.Pods {
			n.names[report.Pods[i].UID] = report.Pods[i].Namespace + "/" + report.Pods[i].Name
		}
	}
	return n, nil
}

// pod returns NAMESPACE/NAME of a pod as text; empty where it is not known.
func (n *node) pod(uid string) string { return fleet.Text(n.names[uid]) }

// micros returns a time in microseconds since 1970; 0, which is null, where it is zero.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// exact returns the bytes of a text where they are not what [fleet.Text] shows.
func exact(s string) []byte {
	if fleet.Text(s) == s {
		return nil
	}
	return []byte(s)
}

// texts returns text for each string.
func texts(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = fleet.Text(s)
	}
	return out
}

// address returns an address in hexadecimal; nothing for none.
func address[A ~uint64](a A) string {
	if a == 0 {
		return ""
	}
	return fmt.Sprintf("%#x", uint64(a))
}

// inJSON returns v as JSON, whose strings are text already.
func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // only maps of strings come here
		panic(err)
	}
	return string(b)
}

// reason returns the code of a gap's reason.
func reason(g vmem.Gap) string { return string(g.Reason()) }
