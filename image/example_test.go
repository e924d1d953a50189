package image_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
)

// The kernel of an image in any format, and what the image was found to be.
func Example() {
	img, err := testimages.BundledPacked() // any image would do
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	file, err := image.Open(ctx, img.Path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	kernel, err := image.OpenKernel(ctx, file, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	host, err := kernel.Hostname()
	if err != nil {
		fmt.Println("lost:", err)
	}
	fmt.Printf("%s: %s runs Linux %s\n", file.Info, host, kernel.Info().Release)
	// Output:
	// LiME, LZ4: gke-prod-default-pool-6f3c2a91-v4kd runs Linux 6.1.0-56-cloud-amd64
}
