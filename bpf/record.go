package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/ampconnector/amp/internal/monitor"
)

// The layout of struct amp_record, record/record.h, with which every record begins. A test compares it with the objects' BTF.
const (
	recordVersion = 2
	recordSize    = 96

	offSize        = 0
	offVersion     = 4
	offKind        = 5
	offFlags       = 6
	offTime        = 8
	offStart       = 16
	offParentStart = 24
	offCgroup      = 32
	offPID         = 40
	offPPID        = 44
	offUID         = 48
	offEUID        = 52
	offAUID        = 56
	offMerged      = 60
	offComm        = 64
	offParent      = 80
	commSize       = 16
)

// enum amp_flag.
const (
	flagPathTruncated = 1 << iota
	flagArgsTruncated
	flagScript
	flagThreads
	flagTargetTruncated
	flagExeTruncated
	flagDirectoryTruncated
	flagJoined
)

// errUnknownKind is a record that a newer kernel part wrote and that this version has no use for.
var errUnknownKind = errors.New("record of an unknown kind")

// decoders read what a kind has after the head. They trust no length in it.
var decoders = [maxKinds]func(*decoder, []byte) error{
	monitor.Exec: (*decoder).exec,
	monitor.Exit: (*decoder).exit,

	monitor.FlowOpen:  (*decoder).flow,
	monitor.FlowClose: (*decoder).flow,
	monitor.Listen:    (*decoder).flow,

	monitor.ModuleLoad:  (*decoder).system,
	monitor.BPFLoad:     (*decoder).system,
	monitor.Trace:       (*decoder).system,
	monitor.Credentials: (*decoder).system,
}

// decoder turns records into events. It has one event, whose strings lie in the record or in the decoder: all are good until the next call.
type decoder struct {
	clock     *wallClock
	event     monitor.Event
	process   monitor.Process
	ancestors [1]monitor.Ancestor
	args      []string
	joined    [2][]byte

	// Of the last record, beside the event.
	flags uint16
	time  time.Duration // on the boot clock
}

// decode reads one record. It trusts no length in it.
func (d *decoder) decode(b []byte) (*monitor.Event, error) {
	if len(b) < recordSize {
		return nil, fmt.Errorf("record of %d bytes, expected at least %d", len(b), recordSize)
	}
	if v := b[offVersion]; v != recordVersion {
		return nil, fmt.Errorf("record of version %d, expected %d", v, recordVersion)
	}
	// The ring rounds sizes up.
	size := u32(b, offSize)
	if size < recordSize || uint64(size) > uint64(len(b)) {
		return nil, fmt.Errorf("record of %d bytes says %d", len(b), size)
	}
	kind := b[offKind]
	if kind >= maxKinds || decoders[kind] == nil {
		return nil, errUnknownKind
	}
	d.fill(b)
	if err := decoders[kind](d, b[:size:size]); err != nil {
		return nil, err
	}
	return &d.event, nil
}

// fill sets what is the same for all kinds, and clears the rest.
func (d *decoder) fill(b []byte) {
	now := u64(b, offTime)
	d.flags, d.time = u16(b, offFlags), time.Duration(now)
	d.clock.follow(now)
	start := u64(b, offStart)
	// Field by field and one after the other: a literal with content, and what is assigned together, are made elsewhere first.
	e, p := &d.event, &d.process
	*e = monitor.Event{}
	*p = monitor.Process{}
	e.Kind = monitor.Kind(b[offKind])
	e.Time = d.clock.at(now)
	e.Process = p
	e.Merged = u32(b, offMerged)
	p.PID = u32(b, offPID)
	p.PPID = u32(b, offPPID)
	p.UID = u32(b, offUID)
	p.EUID = u32(b, offEUID)
	p.AUID = u32(b, offAUID)
	p.Start = d.clock.at(start)
	p.StartBoot = time.Duration(start)
	p.Comm = comm(b[offComm : offComm+commSize])
	p.Parent = comm(b[offParent : offParent+commSize])
	p.Cgroup = u64(b, offCgroup)
	d.ancestors[0] = monitor.Ancestor{PID: p.PPID, StartBoot: time.Duration(u64(b, offParentStart)), Exe: p.Parent}
	p.Ancestors = d.ancestors[:]
}

// tail cuts the tail of a record, which begins at from, into parts of the sizes that stand in b at the offsets at.
func tail(b []byte, from int, parts [][]byte, at ...int) error {
	if len(b) < from {
		return fmt.Errorf("record of kind %d has %d bytes, expected at least %d", b[offKind], len(b), from)
	}
	rest := b[from:]
	for i, off := range at {
		n := int(u16(b, off))
		if n > len(rest) {
			return fmt.Errorf("record of kind %d: part %d of its tail has %d bytes, %d are left", b[offKind], i, n, len(rest))
		}
		parts[i], rest = rest[:n:n], rest[n:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("record of kind %d has %d bytes more than its parts", b[offKind], len(rest))
	}
	return nil
}

var nul = []byte{0}

func comm(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return view(b)
}

// view is the string that lies in b, without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func u16(b []byte, at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
