package findings

import "strings"

// ATTACK is the version of MITRE ATT&CK whose technique IDs rules name.
const ATTACK = "19"

// A Technique is a technique of ATT&CK by its ID, such as T1055.008.
type Technique string

// URL returns the page of the technique.
func (t Technique) URL() string {
	return "https://attack.mitre.org/techniques/" + strings.ReplaceAll(string(t), ".", "/") + "/"
}

// A MovedTechnique is an ID that a version of ATT&CK replaced.
type MovedTechnique struct {
	Was, Is Technique
	Version string // in which it moved
}

// movedTechniques are IDs that this catalogue's IDs had before. ATT&CK 19 (April 2026) took the tactic Defense Evasion apart
// into Stealth and Defense Impairment.
var movedTechniques = []MovedTechnique{
	{"T1562", "T1685", "19"},
	{"T1562.001", "T1685", "19"},
	{"T1562.004", "T1686", "19"},
	{"T1562.006", "T1685", "19"},
	{"T1562.010", "T1689", "19"},
	{"T1070.002", "T1685.006", "19"},
}

// MovedTechniques returns the IDs that other versions of ATT&CK have for techniques of the catalogue.
func MovedTechniques() []MovedTechnique { return append([]MovedTechnique(nil), movedTechniques...) }

// Current returns the ID that a technique has in the version ATTACK.
func (t Technique) Current() Technique {
	for _, m := range movedTechniques {
		if m.Was == t {
			return m.Is
		}
	}
	return t
}
