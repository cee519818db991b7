package monitor

import "testing"

func TestTellsOf(t *testing.T) {
	for k := Exec; k < kindEnd; k++ {
		e := Event{Kind: k, Process: &Process{PID: 7}, File: File{Path: "/x"}}
		line := newEncoder("h").append(nil, &e)
		for other := Exec; other < kindEnd; other++ {
			same := activities[k].class == activities[other].class && activities[k].id == activities[other].id
			if TellsOf(line, other) != same {
				t.Errorf("%v: %v: %v", k, other, !same)
			}
		}
	}
}
