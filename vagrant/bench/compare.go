package bench

import "fmt"

// allowed is the part of our own added cost by which it may grow.
const allowed = 0.03

// Regressions are our own figures that grew by more than 3 % of what stands in the baseline, and by more than the rounds differ among
// themselves: a smaller change cannot be told from none. A figure of the baseline that was not measured is one too.
func Regressions(baseline, now Result) []string {
	var out []string
	for _, old := range baseline.Costs {
		if !own(old.Monitor) {
			continue
		}
		c, ok := now.cost(old.Monitor, old.Coverage, old.Workload)
		if !ok {
			out = append(out, fmt.Sprintf("%s with coverage %q was not measured; the baseline has %.2f µs", old.Workload, old.Coverage, old.Added))
			continue
		}
		if grown := c.Added - old.Added; grown > allowed*old.Added && grown > max(c.Spread, old.Spread) {
			out = append(out, fmt.Sprintf("%s with coverage %q: %.2f µs added, baseline %.2f µs, spread %.2f µs", c.Workload, c.Coverage, c.Added, old.Added, c.Spread))
		}
	}
	return out
}
