package cos

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos/claim"
)

// containers puts the pod's containers together: all that any source knows by ID, but
// for sandboxes, and those that are known by name alone.
func (j *podJoin) containers(sandbox string) []Container {
	sandboxes := map[string]bool{sandbox: true}
	byID := map[string][]claim.Claim{}
	for _, c := range j.claims {
		if c.IsSandbox {
			sandboxes[c.ContainerID] = true
		}
		if c.ContainerID != "" {
			byID[c.ContainerID] = append(byID[c.ContainerID], c)
		}
	}
	var all []Container
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		if !sandboxes[id] {
			all = append(all, j.container(id, byID[id]))
		}
	}
	all = j.addLogs(all)
	slices.SortStableFunc(all, func(a, b Container) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return all
}

func (j *podJoin) container(id string, claims []claim.Claim) Container {
	c := Container{ID: id, PIDs: j.pids[id]}
	object := "container " + id
	j.settleOf(object, "id", claims, &c.Evidence, func(c *claim.Claim) string { return identifies(c, c.ContainerID) })
	c.Name = j.settleOf(object, "name", claims, &c.Evidence, func(c *claim.Claim) string { return c.Container })
	c.Image = j.settleOf(object, "image", claims, &c.Evidence, func(c *claim.Claim) string { return c.Image })
	return c
}

// addLogs joins the names that log files have to the containers. A log file says which
// container of the pod it is of by name alone; so a container without a name gets one
// only if nothing else is possible.
func (j *podJoin) addLogs(all []Container) []Container {
	var unknown []Evidence // names without a container
	for _, c := range j.claims {
		if c.Origin != FromLogFile {
			continue
		}
		e := Evidence{Field: "name", Value: c.Container, Source: c.Origin, PID: c.PID}
		if i := named(all, c.Container); i >= 0 {
			if !slices.ContainsFunc(all[i].Evidence, e.repeats) {
				all[i].Evidence = append(all[i].Evidence, e)
			}
		} else if !slices.ContainsFunc(unknown, e.repeats) {
			unknown = append(unknown, e)
		}
	}
	var nameless []int
	for i := range all {
		if all[i].Name == "" {
			nameless = append(nameless, i)
		}
	}
	if len(unknown) == 1 && len(nameless) == 1 {
		c := &all[nameless[0]]
		unknown[0].Source = FromLogFileAlone
		c.Name, c.Evidence = unknown[0].Value, append(c.Evidence, unknown[0])
		return all
	}
	if len(unknown) > 0 && len(nameless) > 0 {
		j.gap("pod "+j.uid, ErrAmbiguous, "%d containers without a name, %d names without a container", len(nameless), len(unknown))
	}
	for _, e := range unknown {
		all = append(all, Container{Name: e.Value, Evidence: []Evidence{e}})
	}
	return all
}

// named returns the index of the container of that name, if there are several of the
// one that has processes, and -1 if there is none.
func named(all []Container, name string) int {
	found := -1
	for i := range all {
		if all[i].Name == name && (found < 0 || len(all[found].PIDs) == 0) {
			found = i
		}
	}
	return found
}
