package control

import "time"

// Load is how busy the event source is, and what was decided by that. Rates are events a second.
type Load struct {
	Level string    `json:"level"` // normal, reduced, critical
	Cause string    `json:"cause,omitempty"`
	Since time.Time `json:"since,omitzero"`

	Produced float64 `json:"produced"` // all that happened
	Handled  float64 `json:"handled"`
	Shed     float64 `json:"shed"`
	Lost     float64 `json:"lost"`
	Queue    float64 `json:"queue"`           // part of the queue that is full
	Loss     float64 `json:"loss"`            // part of the events that was lost for a full queue
	Trouble  float64 `json:"trouble"`         // seconds since monitoring was first reduced
	Relapses int     `json:"relapses"`        // how often it was reduced again since
	Limits   Limits  `json:"limits,omitzero"` // what decides
}

// Limits are the thresholds of a load, of monitor.OverloadLimits.
type Limits struct {
	Queue     float64 `json:"queue"`     // part of the queue, from which on events come too fast
	Loss      float64 `json:"loss"`      // part of the events, from which on they are being lost
	Sustained float64 `json:"sustained"` // seconds of that, which reduce monitoring
	Losing    float64 `json:"losing"`    // seconds of loss, which are critical
	Persist   float64 `json:"persist"`   // seconds of trouble, which are critical
}
