package layouts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// version returns the first two numbers of a release, such as 6.1; it is empty where there
// are none.
func version(release string) string {
	numbers, _ := split(release)
	if len(numbers) < 2 {
		return ""
	}
	return strconv.Itoa(numbers[0]) + "." + strconv.Itoa(numbers[1])
}

// A distance is how far a release is from another: 0 and nothing for itself.
type distance struct {
	flavour int // 1 where more than numbers differ
	numbers []int
}

func compare(a, b distance) int {
	return cmp.Or(cmp.Compare(a.flavour, b.flavour), slices.Compare(a.numbers, b.numbers))
}

// distanceOf compares two releases number by number.
func distanceOf(a, b string) distance {
	an, at := split(a)
	bn, bt := split(b)
	var d distance
	if at != bt {
		d.flavour = 1
	}
	for i := range max(len(an), len(bn)) {
		d.numbers = append(d.numbers, abs(at0(an, i)-at0(bn, i)))
	}
	return d
}

// split takes the numbers out of a release, and returns what is left with a mark for each.
func split(release string) (numbers []int, text string) {
	var b strings.Builder
	for len(release) > 0 {
		n := 0
		for n < len(release) && release[n] >= '0' && release[n] <= '9' {
			n++
		}
		if v, err := strconv.Atoi(release[:n]); err == nil {
			numbers = append(numbers, v)
			b.WriteByte('#')
			release = release[n:]
			continue
		}
		b.WriteByte(release[0])
		release = release[1:]
	}
	return numbers, b.String()
}

func at0(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return 0
}

func abs(n int) int { return max(n, -n) }
