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

// The layout of struct amp_record, headers/record.h. A test compares it with the objects' BTF.
const (
	recordVersion = 1
	recordSize    = 88 // of the fixed header

	offSize     = 0
	offVersion  = 4
	offKind     = 5
	offFlags    = 6
	offTime     = 8
	offStart    = 16
	offInode    = 24
	offPID      = 32
	offPPID     = 36
	offUID      = 40
	offEUID     = 44
	offStatus   = 48
	offPathSize = 52
	offArgsSize = 54
	offComm     = 56
	offParent   = 72
	commSize    = 16
)

// enum amp_kind.
const (
	kindExec = 1
	kindExit = 2
)

// enum amp_flag.
const (
	flagPathTruncated = 1 << iota
	flagArgsTruncated
	flagScript
	flagThreads
)

// errUnknownKind is a record that a newer kernel part wrote and that this version has no use for.
var errUnknownKind = errors.New("record of an unknown kind")

// decoder turns records into events. It has one event, whose strings lie in the record: both are good until the next call.
type decoder struct {
	clock *wallClock
	event monitor.Event
	args  []string

	// Of the last record, beside the event.
	flags uint16
	start uint64 // ns of the boot clock
	inode uint64
}

// decode reads one record. It trusts no length in it.
func (d *decoder) decode(b []byte) (*monitor.Event, error) {
	if len(b) < recordSize {
		return nil, fmt.Errorf("record of %d bytes, expected at least %d", len(b), recordSize)
	}
	if v := b[offVersion]; v != recordVersion {
		return nil, fmt.Errorf("record of version %d, expected %d", v, recordVersion)
	}
	path, args := u16(b, offPathSize), u16(b, offArgsSize)
	if size := u32(b, offSize); int64(size) > int64(len(b)) || int64(size) != recordSize+int64(path)+int64(args) {
		return nil, fmt.Errorf("record of %d bytes says %d: header %d, path %d, arguments %d", len(b), size, recordSize, path, args)
	}
	tail := b[recordSize:]
	d.fill(b)
	switch b[offKind] {
	case kindExec:
		d.exec(tail[:path:path], tail[path:int(path)+int(args)])
	case kindExit:
		d.exit(u32(b, offStatus))
	default:
		return nil, errUnknownKind
	}
	return &d.event, nil
}

// fill sets what is the same for all kinds, and clears the rest.
func (d *decoder) fill(b []byte) {
	now := u64(b, offTime)
	d.flags, d.start, d.inode = u16(b, offFlags), u64(b, offStart), u64(b, offInode)
	d.clock.follow(now)
	d.event = monitor.Event{
		Time: d.clock.at(now),
		Process: monitor.Process{
			PID:       u32(b, offPID),
			PPID:      u32(b, offPPID),
			UID:       u32(b, offUID),
			EUID:      u32(b, offEUID),
			Start:     d.clock.at(d.start),
			StartBoot: time.Duration(d.start),
			Comm:      comm(b[offComm : offComm+commSize]),
			Parent:    comm(b[offParent : offParent+commSize]),
		},
	}
}

func (d *decoder) exec(path, args []byte) {
	d.event.Kind = monitor.Exec
	d.event.Path = view(path)
	d.event.ArgsTruncated = d.flags&flagArgsTruncated != 0
	d.args = d.args[:0]
	for len(args) > 0 {
		arg, rest, ended := bytes.Cut(args, nul)
		d.args = append(d.args, view(arg))
		if !ended {
			d.event.ArgsTruncated = true
		}
		args = rest
	}
	d.event.Args = d.args
}

// exit reads a status as wait(2) gives it: the signal in the low 7 bits, "core dumped" above it, else the exit status.
func (d *decoder) exit(status uint32) {
	d.event.Kind = monitor.Exit
	if sig := int(status & 0x7f); sig != 0 {
		d.event.Signal = sig
		d.event.ExitCode = -1
		return
	}
	d.event.ExitCode = int(status >> 8 & 0xff)
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
