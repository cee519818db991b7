package bpf

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

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

// activityBatch is how many processes are read at once: more than any bucket of the map has.
const activityBatch = 512

// activity reads what the processes did. The kernel's side keeps the last 4096 that did something. Processes come and go meanwhile, so that
// some may be left out or read twice.
func (l *loaded) activity() ([]monitor.Activity, error) {
	var all []monitor.Activity
	var cursor ebpf.MapBatchCursor
	processes, records := make([]process, activityBatch), make([]activityRecord, activityBatch)
	for {
		n, err := l.maps["activity"].BatchLookup(&cursor, processes, records, nil)
		for i := range n {
			p, r := &processes[i], &records[i]
			name, _, _ := bytes.Cut(r.Comm[:], nul)
			a := monitor.Activity{
				PID: p.PID, StartBoot: p.Start, UID: r.UID, Comm: string(name),
				Device: statDevice(r.Exe.Device), Inode: r.Exe.Inode,
			}
			copy(a.Kinds[:], r.Kinds[:])
			all = append(all, a)
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the activity of processes: %w", err)
		}
	}
}
