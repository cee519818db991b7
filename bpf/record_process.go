package bpf

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/ampconnector/amp/internal/monitor"
)

// struct amp_exec_record and struct amp_exit_record, record/record.h.
const (
	execSize        = recordSize + 24
	offExecInode    = recordSize
	offExecDevice   = recordSize + 8
	offExecPathSize = recordSize + 12
	offExecExeSize  = recordSize + 14
	offExecCwdSize  = recordSize + 16
	offExecArgsSize = recordSize + 18

	exitSize      = recordSize + 8
	offExitStatus = recordSize
)

func (d *decoder) exec(b []byte) error {
	var parts [4][]byte
	if err := tail(b, execSize, parts[:], offExecPathSize, offExecExeSize, offExecCwdSize, offExecArgsSize); err != nil {
		return err
	}
	given, exe, cwd := view(parts[0]), view(parts[1]), view(parts[2])
	p := d.event.Process
	p.Exe = monitor.File{
		Path: exe, Truncated: d.flags&flagExeTruncated != 0,
		Device: statDevice(u32(b, offExecDevice)), Inode: u64(b, offExecInode),
	}
	p.Directory = cwd
	d.event.File = d.executed(given)
	d.readArgs(parts[3])
	p.Args = d.args
	return nil
}

// executed is the file that execve was given. A path that is not from the root, or names a descriptor, is replaced by the one that the
// kernel knows the program by; a script's, of which it knows none, is joined to the working directory.
func (d *decoder) executed(given string) monitor.File {
	p := &d.process
	script := d.flags&flagScript != 0
	absolute := strings.HasPrefix(given, "/")
	switch {
	case !script && (!absolute || strings.HasPrefix(given, "/dev/fd/")):
		return p.Exe
	case script && !absolute:
		d.joined[0] = join(d.joined[0][:0], p.Directory, given)
		return monitor.File{Path: view(d.joined[0]), Joined: true, Truncated: d.flags&(flagPathTruncated|flagDirectoryTruncated) != 0}
	}
	f := monitor.File{Path: given, Truncated: d.flags&flagPathTruncated != 0}
	if !script {
		f.Device, f.Inode = p.Exe.Device, p.Exe.Inode
	}
	return f
}

func (d *decoder) readArgs(args []byte) {
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
func (d *decoder) exit(b []byte) error {
	if len(b) != exitSize {
		return fmt.Errorf("record of an exit has %d bytes, expected %d", len(b), exitSize)
	}
	status := u32(b, offExitStatus)
	if sig := int(status & 0x7f); sig != 0 {
		d.event.Signal = sig
		d.event.ExitCode = -1
		return nil
	}
	d.event.ExitCode = int(status >> 8 & 0xff)
	return nil
}
