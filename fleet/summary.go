package fleet

import "fmt"

// A Summary counts what became of the items of a manifest.
type Summary struct {
	Whole    int           `json:"whole"`
	NotWhole int           `json:"notWhole"`
	Failed   int           `json:"failed"`
	Silent   int           `json:"silent"` // items without a result
	Causes   map[Cause]int `json:"causes,omitempty"`
}

// Items returns how many items there are.
func (s *Summary) Items() int { return s.Whole + s.NotWhole + s.Failed + s.Silent }

// Exit returns the exit status of who worked on all of them: [ExitWhole] if each report is, and else [ExitNotWhole].
func (s *Summary) Exit() int {
	if s.Whole == s.Items() {
		return ExitWhole
	}
	return ExitNotWhole
}

// String returns the counts in words.
func (s *Summary) String() string {
	return fmt.Sprintf("images: %d; reports: %d whole, %d not whole; failed: %d; without a result: %d", s.Items(), s.Whole, s.NotWhole, s.Failed, s.Silent)
}

func (s *Summary) add(r *Result) {
	switch r.Status {
	case Whole:
		s.Whole++
	case NotWhole:
		s.NotWhole++
	default:
		s.Failed++
		if s.Causes == nil {
			s.Causes = map[Cause]int{}
		}
		if r.Failure != nil {
			s.Causes[r.Failure.Cause]++
		}
	}
}

// An Entry is an item of a manifest with its result.
type Entry struct {
	Index  int
	Item   Item
	Result *Result // nil where the item has none
	File   string  // of the result
}

// Summarize says of each item of a manifest what became of it, by the results alone: no image is looked at. Of several results of an item the last counts. Beside it are the
// errors of files in the directory that are no results.
func Summarize(m Manifest, results *Results) (*Summary, []Entry, []error) {
	last, errs := map[string]Entry{}, []error(nil)
	for file, err := range results.Last() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		head, err := ReadHead(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		last[head.Item.Name()] = Entry{Result: head, File: file}
	}
	sum, entries := &Summary{}, make([]Entry, 0, len(m))
	for i, it := range m {
		e := last[it.Name()]
		e.Index, e.Item = i, it
		if e.Result == nil {
			sum.Silent++
		} else {
			sum.add(e.Result)
		}
		entries = append(entries, e)
	}
	return sum, entries, errs
}
