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
	Kinds [activityKinds]uint32 // since the process was seen first; one that made 2^32 events of a kind begins anew
}

// activityKinds is AMP_KINDS, record/record.h.
const activityKinds = int(monitor.Credentials) + 1

// activityBatch is how many processes are read at once: more than any bucket of the map has.
const activityBatch = 512

// activityReader has what reading takes. It is kept, and most processes are where they were the last time: else there would be 1 MB to
// collect every ten seconds, of a host where thousands have started.
type activityReader struct {
	processes [activityBatch]process
	records   [activityBatch]activityRecord
	all       []monitor.Activity
}

// read reads what the processes did. The kernel's side keeps the last 4096 that did something. Processes come and go meanwhile, so that
// some may be left out or read twice.
func (a *activityReader) read(activity *ebpf.Map) ([]monitor.Activity, error) {
	var cursor ebpf.MapBatchCursor
	a.all = a.all[:0]
	for {
		n, err := activity.BatchLookup(&cursor, a.processes[:], a.records[:], nil)
		for i := range n {
			a.add(&a.processes[i], &a.records[i])
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return a.all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the activity of processes: %w", err)
		}
	}
}

func (a *activityReader) add(p *process, r *activityRecord) {
	n := len(a.all)
	if n < cap(a.all) {
		a.all = a.all[:n+1]
	} else {
		a.all = append(a.all, monitor.Activity{})
	}
	to := &a.all[n]
	to.PID, to.StartBoot, to.UID = p.PID, p.Start, r.UID
	to.Device, to.Inode = statDevice(r.Exe.Device), r.Exe.Inode
	if name, _, _ := bytes.Cut(r.Comm[:], nul); string(name) != to.Comm {
		to.Comm = string(name)
	}
	for k, count := range r.Kinds {
		to.Kinds[k] = uint64(count)
	}
}
