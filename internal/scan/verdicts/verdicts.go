// Package verdicts remembers what came of scans, so that a file is not scanned again before it has changed, nor a content once more. A file
// is known by its Identity, a content by its hash; a verdict is good for one Epoch, the definitions and the engine that it was found with.
// What cannot be proved to be the same bytes is not remembered: here a lost verdict costs a scan, and a wrong one lets a file through.
package verdicts

import (
	"time"

	"github.com/ampconnector/amp/internal/scan"
)

// Epoch is what verdicts are found with. Another one makes all of them void.
type Epoch struct {
	Definitions string // version of the set
	Engine      string // version of the library
}

// Verdict is what came of the scan of one file.
type Verdict struct {
	Result scan.Result // Clean, Limited or Infected; that a file could not be scanned is no verdict
	Name   string      // Infected: the signature
	SHA256 [32]byte    // Infected: of the content; zeros where it was not computed
	Time   time.Time   // when the file was looked at, before the scan; on the wall clock, as ctime is
}

// keepable reports whether a result is one that a later scan would come to as well.
func keepable(r scan.Result) bool {
	return r == scan.Clean || r == scan.Limited || r == scan.Infected
}
