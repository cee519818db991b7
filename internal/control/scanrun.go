package control

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Bounds of what is asked of a scan, and of one answer about it.
const (
	MaxScanPaths    = 64
	MaxScanPath     = 4095 // bytes, as PATH_MAX of Linux allows
	MaxScanFindings = 100  // in one answer; the next one has the others
)

// ScanRequest is what a program asks of a scan on demand: paths to begin one, or the id of one that is going on.
type ScanRequest struct {
	Paths            []string `json:"paths,omitempty"`              // absolute
	CrossFileSystems bool     `json:"cross_file_systems,omitempty"` // go into what is mounted below them too
	ID               uint64   `json:"id,omitempty"`
	After            int      `json:"after,omitempty"` // how many findings the asking program has already
}

// check refuses what no daemon takes.
func (r *ScanRequest) check(v Verb) error {
	begins := v == StartScan
	switch {
	case r == nil:
		return fmt.Errorf("verb %s: expected scan", v)
	case begins && (len(r.Paths) == 0 || len(r.Paths) > MaxScanPaths):
		return fmt.Errorf("verb %s: %d paths, expected 1 to %d", v, len(r.Paths), MaxScanPaths)
	case begins != (r.ID == 0), !begins && len(r.Paths) > 0:
		return fmt.Errorf("verb %s: expected paths to begin a scan, or else its id", v)
	case r.After < 0:
		return fmt.Errorf("after %d: expected 0 or more", r.After)
	}
	for _, p := range r.Paths {
		if err := checkScanPath(p); err != nil {
			return err
		}
	}
	return nil
}

func checkScanPath(p string) error {
	if !path.IsAbs(p) || len(p) > MaxScanPath || strings.IndexByte(p, 0) >= 0 {
		return fmt.Errorf("path %.80q: expected an absolute path of at most %d bytes", p, MaxScanPath)
	}
	return nil
}

// ScanRun is how far a scan on demand has come. It ends by itself when nobody has asked for it for a while.
type ScanRun struct {
	ID      uint64    `json:"id"`
	Started time.Time `json:"started"`
	Done    bool      `json:"done"`
	Error   string    `json:"error,omitempty"` // why it ended before its end

	Files       uint64        `json:"files"`       // that were scanned, those that had not changed since they were scanned before among them
	Bytes       uint64        `json:"bytes"`       // of them
	Known       uint64        `json:"known"`       // of them, that had not changed, or have the content of another one that was scanned
	Limited     uint64        `json:"limited"`     // of them, that were scanned in part or not at all, for a bound of the policy or of the engine
	Folders     uint64        `json:"folders"`     // that were read
	Skipped     uint64        `json:"skipped"`     // excluded, or on another file system
	Found       uint64        `json:"found"`       // files in which something was found
	Quarantined uint64        `json:"quarantined"` // of them, that were taken into the quarantine
	Failures    uint64        `json:"failures"`    // files and folders that could not be read or scanned
	Untold      uint64        `json:"untold"`      // of what was found or could not be scanned, that was more than is kept for whoever asks; the log has every detection
	Took        time.Duration `json:"took"`        // ns
	Current     string        `json:"current,omitempty"`
	Findings    []ScanFinding `json:"findings,omitempty"` // those after the first After, at most MaxScanFindings
}

// ScanFinding is one file of a scan on demand in which something was found, or which could not be scanned.
type ScanFinding struct {
	Path        string `json:"path"`
	Name        string `json:"name,omitempty"`        // what was found
	Error       string `json:"error,omitempty"`       // why it could not be scanned
	Quarantined string `json:"quarantined,omitempty"` // its id in the quarantine
	LeftAlone   string `json:"left_alone,omitempty"`  // why it is not there, where the policy asks for that
}

// ErrNoScan is in the chain of an error of Ask when the scan that it is about is not there, or not any more.
var ErrNoScan = errors.New("no such scan")
