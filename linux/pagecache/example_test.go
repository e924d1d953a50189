package pagecache_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// A file that exists in memory only, and one that was deleted.
func ExampleSet_FS() {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	defer mem.Close()
	ctx := context.Background()
	k, err := linux.Open(ctx, mem, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := pagecache.Open(ctx, k, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range set.Tasks() {
		if t.Comm != "httpd" {
			continue
		}
		files, err := set.FS(ctx, t)
		if err != nil {
			fmt.Println(err)
			return
		}
		namespace, err := fs.ReadFile(files, "var/run/secrets/kubernetes.io/serviceaccount/namespace")
		fmt.Printf("%s %v\n", namespace, err)
	}
	nameless, _ := set.Nameless(ctx)
	for _, n := range nameless {
		if n.FSType == "overlay" {
			fmt.Println(n.Path, n.Size, "bytes, held by process", n.Holders[0].PID)
		}
	}
	// Output:
	// shop <nil>
	// /tmp/.cache.db (deleted) 17 bytes, held by process 748
}
