package schedule

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/policy"
)

// Path is where the daemon remembers what it did by schedules.
const Path = "/var/lib/cisco/amp/schedules.json"

// Result is what came of a scan.
type Result struct {
	Files    uint64 `json:"files"`
	Found    uint64 `json:"found"`    // files in which something was found
	Failures uint64 `json:"failures"` // files and folders that could not be read or scanned
}

// record is what is remembered of one schedule.
type record struct {
	On      string    `json:"on"`             // policy.When; another one begins anew
	Through time.Time `json:"through"`        // what was due up to then has been dealt with
	Began   time.Time `json:"began,omitzero"` // the last scan
	Ended   time.Time `json:"ended,omitzero"` // zero with Began: it goes on, or was interrupted
	Again   bool      `json:"again,omitempty"`
	Result
	Error string `json:"error,omitempty"` // why it ended before its end
}

// interrupted reports whether the last scan has begun and not ended.
func (r *record) interrupted() bool { return !r.Began.IsZero() && r.Ended.IsZero() }

// recordFile is the form of the file.
type recordFile struct {
	Version   int                `json:"version"`
	Schedules map[string]*record `json:"schedules"`
}

const (
	recordVersion  = 1
	maxRecordBytes = 64 << 10
	maxRecords     = 2 * policy.MaxSchedules // those of a policy that cannot be read at the moment too
	maxRecordError = 512                     // bytes
)

// parseRecords reads the bytes of the file.
func parseRecords(path string, b []byte) (map[string]*record, error) {
	if len(b) > maxRecordBytes {
		return nil, fmt.Errorf("%s: expected at most %d bytes", path, maxRecordBytes)
	}
	var f recordFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Version != recordVersion || len(f.Schedules) > maxRecords {
		return nil, fmt.Errorf("%s: version %d with %d schedules, expected version %d with at most %d", path, f.Version, len(f.Schedules), recordVersion, maxRecords)
	}
	for name, r := range f.Schedules {
		if r == nil || r.Through.IsZero() || len(name) > policy.MaxScheduleName || len(r.Error) > maxRecordError {
			return nil, fmt.Errorf("%s: schedule %.40q is not one that was written there", path, name)
		}
	}
	if f.Schedules == nil {
		f.Schedules = map[string]*record{}
	}
	return f.Schedules, nil
}

// readRecords reads the file; where there is none, nothing is remembered.
func readRecords(path string) (map[string]*record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if os.IsNotExist(err) {
		return map[string]*record{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecordBytes+1))
	if err != nil {
		return nil, err
	}
	return parseRecords(path, b)
}

// writeRecords replaces the file: a power loss leaves the old or the new one.
func writeRecords(path string, records map[string]*record) error {
	b, err := json.MarshalIndent(recordFile{recordVersion, records}, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.Write(path, append(b, '\n'), 0o600, nil)
}
