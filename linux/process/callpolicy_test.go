package process

import "testing"

// TestPolicyBudget: what filters say is not known where following them takes too long, and is not told as if it were.
func TestPolicyBudget(t *testing.T) {
	t.Parallel()
	allow := SeccompFilter{Instructions: []Instruction{{Code: classRET, K: answerAllow}}}
	enough := maxPolicySteps
	if p := policyOf([]SeccompFilter{allow}, &enough); p.Default != "allow" {
		t.Errorf("default %q", p.Default)
	}
	few := 1
	if p := policyOf([]SeccompFilter{allow}, &few); p.Default != "unknown" || few > 0 {
		t.Errorf("default %q, %d steps are left", p.Default, few)
	}
	var c policyCache
	c.steps = maxReaderSteps
	if _, err := c.of([]SeccompFilter{allow}, false); err == nil {
		t.Error("no error without any steps left")
	}
}
