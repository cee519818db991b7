package fault

import "time"

// catalogue is ordered by ID; each entry stands in a variable of its own, in the file named after what it is about.
var catalogue = []Fault{fault5, fault6, fault7, fault8, fault9, fault11, fault16, fault18, fault19}

// How long conditions must last before they are raised, by what may make them come and go while the host is sound.
const (
	// Account tools replace passwd, group and shadow one after another, and in between the three do not match.
	accountSettles = 5 * time.Second
	// A policy package may load the policy several times while it is installed.
	policySettles = 5 * time.Second
	// A kernel or header package is unpacked, built for and loaded by several programs, one after another.
	kernelSettles = 60 * time.Second
	// The daemon has absorbed bursts and waited for some seconds before it calls events too many, and before it calls them few again.
	burstPasses = time.Second
)
