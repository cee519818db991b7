package bpf

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/ampconnector/amp/internal/monitor"
)

// struct amp_operation, headers/file_operations.h, as far as it is read here.
const (
	offOperationTime = 0
	offOperationKind = 48
	offOperationLate = 56
	operationSize    = 320
)

const (
	// An operation on a file that has not ended by then has lost its end. The next one of its thread would find it; of a thread that has
	// ended it would stay for ever, and there is room for so many.
	operationLasts = 10 * time.Minute
	sweepPeriod    = time.Minute
)

// operations are those in the kernel's side that have begun and not ended.
type operations struct {
	swept  time.Time
	missed [maxKinds]uint64 // those that lost their end
}

// sweep takes away what will not end any more, once a sweepPeriod. boot is the boot clock, in ns. The map may be nil: not each set of hooks has it.
func (o *operations) sweep(m *ebpf.Map, now time.Time, boot int64) error {
	if m == nil || now.Sub(o.swept) < sweepPeriod {
		return nil
	}
	o.swept = now
	var thread uint32
	var lost []uint32
	op := make([]byte, operationSize)
	all := m.Iterate()
	for all.Next(&thread, &op) {
		if boot-int64(binary.NativeEndian.Uint64(op[offOperationTime:])) < int64(operationLasts) {
			continue
		}
		lost = append(lost, thread)
		if binary.NativeEndian.Uint32(op[offOperationLate:]) == 0 {
			o.missed[binary.NativeEndian.Uint32(op[offOperationKind:])%maxKinds]++
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read the operations on files that have begun: %w", err)
	}
	for _, thread := range lost {
		_ = m.Delete(thread) // its next operation may have found it
	}
	return nil
}

// addTo adds those that lost their end.
func (o *operations) addTo(c *monitor.Counts) {
	for k := range c.Kinds {
		c.Kinds[k].Missed += o.missed[k]
	}
}
