package monitor

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxLine is the longest line of the event log, in bytes: a path and arguments of 4 KiB each, all of them escaped, stay below it.
const MaxLine = 256 << 10

// Record is one line of the event log, read back. Times have milliseconds; bytes of arguments that are not UTF-8 are U+FFFD.
type Record struct {
	Event
	Host string // device.hostname
}

// line is what ParseLine reads of a line.
type line struct {
	Time     int64 `json:"time"`
	Class    int   `json:"class_uid"`
	Activity int   `json:"activity_id"`
	Device   struct {
		Hostname string `json:"hostname"`
	} `json:"device"`
	Process struct {
		PID     uint32 `json:"pid"`
		UID     string `json:"uid"`
		Name    string `json:"name"`
		Created int64  `json:"created_time"`
		CmdLine string `json:"cmd_line"`
		File    struct {
			Path string `json:"path"`
		} `json:"file"`
		User struct {
			UID string `json:"uid"`
		} `json:"user"`
		EUID   uint32 `json:"euid"`
		Parent struct {
			PID  uint32 `json:"pid"`
			Name string `json:"name"`
		} `json:"parent_process"`
	} `json:"process"`
	ExitCode int `json:"exit_code"`
	Unmapped struct {
		Signal        int      `json:"signal"`
		Args          []string `json:"args"`
		ArgsTruncated bool     `json:"args_truncated"`
		PathHex       string   `json:"path_hex"`
	} `json:"unmapped"`
}

// ParseLine reads one line of the event log. A line of another OCSF class, or that is longer than MaxLine, is an error.
func ParseLine(b []byte) (Record, error) {
	var l line
	if len(b) > MaxLine {
		return Record{}, fmt.Errorf("line of %d bytes, expected at most %d", len(b), MaxLine)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Record{}, err
	}
	if l.Class != ocsfProcessActivity {
		return Record{}, fmt.Errorf("class_uid is %d, expected %d", l.Class, ocsfProcessActivity)
	}
	kinds := map[int]Kind{ocsfLaunch: Exec, ocsfTerminate: Exit}
	kind, ok := kinds[l.Activity]
	if !ok {
		return Record{}, fmt.Errorf("activity_id is %d, expected %d or %d", l.Activity, ocsfLaunch, ocsfTerminate)
	}
	return l.record(kind)
}

func (l *line) record(kind Kind) (Record, error) {
	p := &l.Process
	uid, err := strconv.ParseUint(p.User.UID, 10, 32)
	if err != nil {
		return Record{}, fmt.Errorf("process.user.uid: %w", err)
	}
	r := Record{Host: l.Device.Hostname, Event: Event{
		Kind: kind,
		Time: time.UnixMilli(l.Time),
		Process: Process{
			PID: p.PID, PPID: p.Parent.PID, UID: uint32(uid), EUID: p.EUID,
			Start: time.UnixMilli(p.Created),
			Comm:  p.Name, Parent: p.Parent.Name,
		},
		Path:          p.File.Path,
		Args:          l.args(),
		ArgsTruncated: l.Unmapped.ArgsTruncated,
		ExitCode:      l.ExitCode,
		Signal:        l.Unmapped.Signal,
	}}
	if _, boot, ok := strings.Cut(p.UID, "-"); ok {
		ns, err := strconv.ParseInt(boot, 10, 64)
		if err != nil {
			return Record{}, fmt.Errorf("process.uid: %w", err)
		}
		r.Process.StartBoot = time.Duration(ns)
	}
	if l.Unmapped.PathHex != "" {
		path, err := hex.DecodeString(l.Unmapped.PathHex)
		if err != nil {
			return Record{}, fmt.Errorf("unmapped.path_hex: %w", err)
		}
		r.Path = string(path)
	}
	return r, nil
}

func (l *line) args() []string {
	if l.Unmapped.Args != nil || l.Process.CmdLine == "" {
		return l.Unmapped.Args
	}
	return strings.Split(l.Process.CmdLine, " ")
}
