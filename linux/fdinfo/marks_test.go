package fdinfo

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/vmem"
)

// TestMarkTypes: a mark that has lost its object is none, and one on something that the kernel does not know is a loss.
func TestMarkTypes(t *testing.T) {
	t.Parallel()
	n := nodes.Bundled(t)
	var group, connector vmem.VirtAddr
	marks := func(r *Reader) (count int, err error) {
		err = r.marks(context.Background(), group, func(_ vmem.VirtAddr, m *markStruct, _ *connectorStruct) error {
			connector = m.Connector
			count++
			return nil
		})
		return count, err
	}
	for _, p := range n.Tasks {
		for fd, err := range p.Files(t.Context()) {
			if err == nil && fd.Path == "anon_inode:inotify" && connector == 0 {
				f, _, err := n.r.file(fd.Addr)
				if err != nil {
					t.Fatal(err)
				}
				group = f.Private
				if _, err := marks(n.r); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	all, err := marks(n.r)
	if err != nil || all == 0 {
		t.Fatal(err, all)
	}
	field, err := n.K.Symbols().Field("fsnotify_mark_connector", "type")
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.K.Space().Translate(connector + vmem.VirtAddr(field.Offset))
	if err != nil {
		t.Fatal(err)
	}
	for typ, want := range map[uint16]error{3: nil, 4: kstruct.ErrCorrupt, 0xff: kstruct.ErrCorrupt} { // 3 is FSNOTIFY_OBJ_TYPE_DETACHED until 6.14
		mem := smeartest.New(n.Mem)
		mem.Write(m.At(connector+vmem.VirtAddr(field.Offset)), binary.LittleEndian.AppendUint16(nil, typ))
		in := &nodetest.Node{Image: n.Image}
		if err := in.On(mem, &linux.Options{Symbols: n.K.Symbols()}); err != nil {
			t.Fatal(err)
		}
		if got, err := marks(New(in.K)); got != all-1 || !errors.Is(err, want) {
			t.Errorf("type %d: %d of %d marks, %v", typ, got, all, err)
		}
	}
}
