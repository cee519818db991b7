package monitor

import (
	"bytes"
	"strconv"
)

// typeMarks stand in every line of a kind: type_uid is class_uid × 100 + activity_id. Some kinds share one.
var typeMarks = func() (marks [kindEnd][]byte) {
	for k := Exec; k < kindEnd; k++ {
		marks[k] = []byte(`"type_uid":` + strconv.Itoa(activities[k].class*100+activities[k].id) + `,`)
	}
	return marks
}()

// TellsOf reports whether a line of the event log may be of a kind. It only looks through the line, so that a reader who is after one kind
// need not have all others parsed.
func TellsOf(line []byte, k Kind) bool { return bytes.Contains(line, typeMarks[k%kindEnd]) }
