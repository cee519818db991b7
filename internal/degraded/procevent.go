package degraded

import (
	"fmt"
	"time"
)

// Layout of a message of the process connector: struct nlmsghdr, struct cn_msg, struct proc_event (uapi/linux/connector.h, cn_proc.h).
const (
	nlmsgHead = 16
	cnHead    = 20
	offWhat   = nlmsgHead + cnHead
	offStamp  = offWhat + 8
	offData   = offWhat + 16

	cnIdxProc = 1
	cnValProc = 1
)

// procWhat is enum what of struct proc_event.
type procWhat uint32

const (
	procAck    procWhat = 0
	procFork   procWhat = 0x00000001
	procExec   procWhat = 0x00000002
	procUID    procWhat = 0x00000004
	procPtrace procWhat = 0x00000100
	procExit   procWhat = 0x80000000
)

// procEvent is a message of the process connector.
type procEvent struct {
	what   procWhat
	time   time.Duration // CLOCK_MONOTONIC
	thread uint32
	pid    uint32    // of the thread group
	data   [4]uint32 // what follows the two, by what
}

// procDataSize is how many words each kind has behind its pid and thread group. struct exit_proc_event has had the parent since 4.18.
var procDataSize = map[procWhat]int{procAck: -1, procFork: 2, procExec: 0, procUID: 2, procPtrace: 2, procExit: 2}

// parse reads one datagram. It trusts no length in it. ok is false for a kind that nobody asked for, and for threads that come and go.
func (p *procEvent) parse(b []byte) (ok bool, err error) {
	if len(b) < offData+4 {
		return false, fmt.Errorf("process connector message of %d bytes, expected at least %d", len(b), offData+4)
	}
	if size := u32(b, 0); size < offData+4 || uint64(size) > uint64(len(b)) {
		return false, fmt.Errorf("process connector message of %d bytes says %d", len(b), size)
	} else {
		b = b[:size]
	}
	if idx, val := u32(b, nlmsgHead), u32(b, nlmsgHead+4); idx != cnIdxProc || val != cnValProc {
		return false, nil
	}
	if n := int(u16(b, nlmsgHead+16)); n < offData+4-offWhat || n > len(b)-offWhat {
		return false, fmt.Errorf("process connector message of %d bytes says that %d are data", len(b), n)
	}
	*p = procEvent{what: procWhat(u32(b, offWhat)), time: time.Duration(u64(b, offStamp) & (1<<63 - 1))}
	words, known := procDataSize[p.what]
	if !known {
		return false, nil
	}
	p.thread = u32(b, offData) // of an acknowledgement: the error
	if words < 0 {
		return true, nil
	}
	if have := len(b) - offData; have < 8+4*words {
		return false, fmt.Errorf("process connector message %#x has %d bytes of data, expected at least %d", uint32(p.what), have, 8+4*words)
	}
	p.pid = u32(b, offData+4)
	for i := range p.data {
		if at := offData + 8 + 4*i; at+4 <= len(b) {
			p.data[i] = u32(b, at)
		}
	}
	thread := p.what == procFork && p.data[0] != p.data[1] || p.what == procExit && p.thread != p.pid
	return !thread, nil
}
