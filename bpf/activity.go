package bpf

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/ampconnector/amp/internal/monitor"
)

// process and activityRecord are struct amp_process and struct amp_activity, headers/filter.h.
type process struct {
	Start uint64
	PID   uint32
	_     uint32
}

type activityRecord struct {
	Exe   executable
	UID   uint32
	_     uint32
	Comm  [commSize]byte
	Kinds [maxKinds]uint64
}

// activity reads what the processes did. The kernel's side keeps the last 4096 that did something.
func (l *loaded) activity() ([]monitor.Activity, error) {
	var all []monitor.Activity
	var p process
	var r activityRecord
	it := l.maps["activity"].Iterate()
	for it.Next(&p, &r) {
		name, _, _ := bytes.Cut(r.Comm[:], nul)
		a := monitor.Activity{
			PID: p.PID, StartBoot: p.Start, UID: r.UID, Comm: strings.Clone(string(name)),
			Device: statDevice(r.Exe.Device), Inode: r.Exe.Inode,
		}
		copy(a.Kinds[:], r.Kinds[:])
		all = append(all, a)
	}
	// Processes come and go while the map is read, so that some may be left out or read twice; that the walk was cut off for it is no error.
	if err := it.Err(); err != nil && len(all) == 0 {
		return nil, fmt.Errorf("read the activity of processes: %w", err)
	}
	return all, nil
}
