package control

import "time"

// Bounds of the lists of a window.
const (
	MaxTopProcesses = 30
	MaxTopPrograms  = 20
	MaxTopFiles     = 20
	MaxTopPeers     = 20
)

// Top is who makes the events, over the last minutes. docs/top.schema.json describes its JSON.
type Top struct {
	Time    time.Time `json:"time"`
	Source  string    `json:"source"`            // of monitor.SourceName
	Level   string    `json:"level"`             // of the load, as in Load
	Private bool      `json:"private,omitempty"` // files and peers were left out, since only root may know them

	Windows []TopWindow `json:"windows"` // the shortest first
}

// TopWindow is what was done in the last minutes. Rates are events a second over what is covered. Events that were excluded or shed count too.
type TopWindow struct {
	Minutes   int          `json:"minutes"`
	Covered   float64      `json:"covered"` // seconds that were measured, 0 where nothing was yet
	Events    uint64       `json:"events"`
	Rate      float64      `json:"rate"`
	Programs  []TopProgram `json:"programs"` // executables, each with all its processes, the busiest first
	Processes []TopProcess `json:"processes"`
	Files     []TopFile    `json:"files"`
	Peers     []TopPeer    `json:"peers"`
}

// TopProgram is what the processes of one executable did.
type TopProgram struct {
	Exe       string     `json:"exe,omitempty"` // path; empty: it could not be found out; one longer than 512 bytes is cut and ends with …
	Device    uint64     `json:"device,omitempty"`
	Inode     uint64     `json:"inode,omitempty"`
	Comm      string     `json:"comm"`      // of its busiest process
	PID       uint32     `json:"pid"`       // likewise
	UID       uint32     `json:"uid"`       // likewise
	Parent    string     `json:"parent"`    // likewise; empty: not known
	Processes int        `json:"processes"` // that were told apart
	Events    uint64     `json:"events"`
	Rate      float64    `json:"rate"`
	Kinds     []KindRate `json:"kinds"` // the fastest first
}

// TopProcess is what one process did.
type TopProcess struct {
	PID    uint32     `json:"pid"`
	UID    uint32     `json:"uid"`
	PPID   uint32     `json:"ppid,omitempty"` // 0: not known
	Comm   string     `json:"comm"`
	Exe    string     `json:"exe,omitempty"`    // path; empty: it could not be found out; one longer than 512 bytes is cut and ends with …
	Parent string     `json:"parent,omitempty"` // path of its executable, else its comm
	Events uint64     `json:"events"`
	Rate   float64    `json:"rate"`
	Kinds  []KindRate `json:"kinds"`
}

// KindRate is how fast events of a kind came.
type KindRate struct {
	Kind string  `json:"kind"`
	Rate float64 `json:"rate"`
}

// TopFile is a file that many events were of: at least AtLeast, at most Events.
type TopFile struct {
	Path    string `json:"path"`
	Events  uint64 `json:"events"`
	AtLeast uint64 `json:"at_least"`
}

// TopPeer is another host that there were many flows with.
type TopPeer struct {
	Address  string `json:"address"`
	Port     uint16 `json:"port"` // the one that is listened at
	Protocol string `json:"protocol"`
	Inbound  bool   `json:"inbound"` // the peer opened the flows
	Flows    uint64 `json:"flows"`
	AtLeast  uint64 `json:"at_least"`
	Bytes    uint64 `json:"bytes"` // of those that ended
}

// shorter is a copy with three quarters of each list, for an answer that became too long.
func (t Top) shorter() *Top {
	windows := make([]TopWindow, len(t.Windows))
	for i, w := range t.Windows {
		w.Programs, w.Processes = trimmed(w.Programs), trimmed(w.Processes)
		w.Files, w.Peers = trimmed(w.Files), trimmed(w.Peers)
		windows[i] = w
	}
	t.Windows = windows
	return &t
}

func trimmed[T any](s []T) []T { return s[:len(s)*3/4] }

// listed reports whether any list has something in it.
func (t *Top) listed() bool {
	for _, w := range t.Windows {
		if len(w.Programs)+len(w.Processes)+len(w.Files)+len(w.Peers) > 0 {
			return true
		}
	}
	return false
}
