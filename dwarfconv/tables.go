package dwarfconv

// A tableCache keeps the compiled abbreviations that were used last. Each unit
// from a compiler has its own; units that dwz wrote share a few.
type tableCache map[tableKey]*abbrevTable

type tableKey struct {
	off uint64
	encoding
}

const maxTables = 16

// get returns the abbreviations of u.
func (c tableCache) get(u *unit) (*abbrevTable, error) {
	key := tableKey{u.abbrevs, u.encoding}
	if t, ok := c[key]; ok {
		return t, nil
	}
	t, end, err := compileAbbrevs(u.file.abbrev, u.abbrevs, u.encoding)
	if err != nil {
		return nil, err
	}
	if u.file.abbrevBudget.Add(-int64(end)+int64(u.abbrevs)) < 0 {
		return nil, errLimit
	}
	if len(c) >= maxTables {
		clear(c)
	}
	c[key] = t
	return t, nil
}
