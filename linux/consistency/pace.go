package consistency

import (
	"cmp"
	"slices"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// A point is a moment, and how much of the image is of lower addresses: a share from 0 to 1.
type point struct {
	share float64
	at    time.Duration
}

// pace estimates when the capture began and how long it took, supposing that it went through memory upwards and evenly: by the
// clocks that ticked, which lie here and there. It returns 0 if these lie too close together, or if anything in memory
// contradicts that: is of a later time than its place in the image allows.
func (c *checker) pace(s *span) (began, took time.Duration) {
	now := c.points(s.now)
	if len(now) < 2 {
		return 0, 0
	}
	const apart = 0.05 // of the image
	byShare := func(a, b point) int { return cmp.Compare(a.share, b.share) }
	if slices.MaxFunc(now, byShare).share-slices.MinFunc(now, byShare).share < apart {
		return 0, 0
	}
	began, took = line(now)
	if took <= 0 {
		return 0, 0
	}
	for _, p := range c.points(s.past) {
		late := p.at - began - time.Duration(p.share*float64(took))
		if late > took/4+still && p.at-began < maxApart {
			return 0, 0
		}
	}
	return began, took
}

// line returns the straight line that is nearest to the points, by the sum of the squares: where it is at 0, and its rise to 1.
func line(points []point) (at0, rise time.Duration) {
	var x, y float64
	origin := points[0].at // times are large, and differences small
	for _, p := range points {
		x += p.share / float64(len(points))
		y += float64(p.at-origin) / float64(len(points))
	}
	var xx, xy float64
	for _, p := range points {
		dx := p.share - x
		xx += dx * dx
		xy += dx * (float64(p.at-origin) - y)
	}
	if xx == 0 {
		return 0, 0
	}
	slope := xy / xx
	return origin + time.Duration(y-slope*x), time.Duration(slope)
}

// points places moments in the image; those that are not in it are left out.
func (c *checker) points(moments []moment) []point {
	ranges := c.k.Physical().Ranges()
	before := make([]uint64, len(ranges)+1) // bytes of the ranges before each
	for i, r := range ranges {
		before[i+1] = before[i] + r.Size
	}
	all := make([]point, 0, len(moments))
	for _, m := range moments {
		page, err := c.space.Translate(m.addr)
		if err != nil {
			continue
		}
		to := page.At(m.addr)
		i, _ := slices.BinarySearchFunc(ranges, to, func(r vmem.Range[vmem.PhysAddr], at vmem.PhysAddr) int {
			return cmp.Compare(r.Last(), at)
		})
		if i < len(ranges) && to >= ranges[i].Start {
			all = append(all, point{float64(before[i]+uint64(to-ranges[i].Start)) / float64(before[len(ranges)]), m.at})
		}
	}
	return all
}
