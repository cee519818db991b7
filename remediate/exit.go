package remediate

// Exit codes of amp-remediate.
const (
	ExitGone    = 0 // gone, or was never there; check: none present
	ExitThere   = 1 // still there, or not known to be gone; check: some present
	ExitUsage   = 2 // usage or bad input; or the output could not be written
	ExitPerson  = 3 // the rest waits for a person
	ExitRoot    = 4 // changes need root
	ExitUnknown = 5 // check: none seen, but some unknown
)

// weight orders the codes of several faults: the heaviest is the code of the run. What is still there weighs most.
var weight = map[int]int{ExitGone: 0, ExitUnknown: 1, ExitPerson: 2, ExitUsage: 3, ExitRoot: 4, ExitThere: 5}

// Heavier is the code of two things in one run.
func Heavier(a, b int) int {
	if weight[b] > weight[a] {
		return b
	}
	return a
}
