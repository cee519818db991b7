// Package fault is the catalogue of the numbered conditions that keep the connector from working as designed, and the
// ledger of those that are raised. Nothing in it looks at a host: predicates live in internal/health, remedies in remediate.
package fault

import "time"

// ID is a fault's number as admins know it from the vendor's documentation.
type ID int

// Severity says how much protection a raised fault costs.
type Severity string

const (
	Critical Severity = "critical" // protection is off
	Major    Severity = "major"    // protection is reduced
	Minor    Severity = "minor"    // a deviation from design
)

// Text is a user-facing text in the languages of the product.
type Text struct {
	EN string `json:"en"`
	JA string `json:"ja"`
}

// Fault is one entry of the catalogue.
type Fault struct {
	ID        ID
	Severity  Severity      // the highest that this fault can have
	Name      Text          // short, as ampcli status shows it
	Meaning   Text          // what is wrong and what the connector does meanwhile
	Detection Text          // how it is detected
	Remedy    Text          // what amp-remediate does
	CausedBy  []ID          // while one of these is raised, this one is shown as its consequence
	ToRaise   time.Duration // how long the condition must last before it is raised, so that a flapping one is raised once
	Judged    bool          // whether this version evaluates it; if not it is reported as Unknown
}
