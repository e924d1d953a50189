package socket_test

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network/socket"
)

func Example() {
	ctx := context.Background()
	img, err := image.Open(ctx, "node.lime", nil)
	if err != nil {
		return
	}
	defer img.Close()
	k, err := linux.Open(ctx, img.Memory, nil)
	if err != nil {
		return
	}
	for s, err := range socket.Sockets(ctx, k, nil) {
		switch {
		case err != nil:
			fmt.Println("lost:", err)
		case s.State == socket.Listen:
			fmt.Println(s, s.Owners)
		}
	}
}
