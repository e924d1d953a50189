package cos

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// Pages of zeros that makedumpfile leaves out of a core are missing nowhere in the report.
func TestMakedumpfile(t *testing.T) {
	image := testimages.Named(t, "s-6.12-la57")
	small := testimages.Makedumpfile(t, image, "-E", "-d", "1")
	r, err := AnalyzeNode(t.Context(), File(image.Path), nil)
	if err != nil {
		t.Fatal(err)
	}
	checkSameWith(t, nil, withoutNotes(t, r), small, "the image leaves out")
}
