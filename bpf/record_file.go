package bpf

import (
	"bytes"

	"github.com/ampconnector/amp/internal/monitor"
)

// struct amp_file_record, record/record.h.
const (
	fileSize            = recordSize + 56
	offFileInode        = recordSize
	offFileBytes        = recordSize + 8
	offFileChanged      = recordSize + 16
	offFileTargetInode  = recordSize + 24
	offFileDevice       = recordSize + 32
	offFileTargetDevice = recordSize + 36
	offFileMode         = recordSize + 40
	offFileOwner        = recordSize + 44
	offFileGroup        = recordSize + 48
	offFilePathSize     = recordSize + 52
	offFileTargetSize   = recordSize + 54
)

func init() {
	for kind := range monitor.FileKinds.All {
		decoders[kind] = (*decoder).file
	}
}

func (d *decoder) file(b []byte) error {
	var parts [2][]byte
	if err := tail(b, fileSize, parts[:], offFilePathSize, offFileTargetSize); err != nil {
		return err
	}
	e := &d.event
	e.File = monitor.File{
		Path: d.path(0, parts[0]), Truncated: d.flags&flagPathTruncated != 0, Joined: d.flags&flagJoined != 0,
		Device: statDevice(u32(b, offFileDevice)), Inode: u64(b, offFileInode),
	}
	switch e.Kind {
	case monitor.FileWrite:
		e.File.Size, e.File.Changed = u64(b, offFileBytes), int64(u64(b, offFileChanged))
	case monitor.FileAttributes:
		e.Mode, e.Owner, e.Group = u32(b, offFileMode), u32(b, offFileOwner), u32(b, offFileGroup)
	case monitor.FileRename, monitor.FileLink, monitor.FileCopy:
		e.Target = monitor.File{
			Path: d.path(1, parts[1]), Truncated: d.flags&flagTargetTruncated != 0, Joined: d.flags&flagJoined != 0,
			Device: statDevice(u32(b, offFileTargetDevice)), Inode: u64(b, offFileTargetInode),
		}
	}
	return nil
}

// path is a path of the tail; one that the process named is joined to its directory.
func (d *decoder) path(which int, b []byte) string {
	if d.flags&flagJoined == 0 {
		return view(b)
	}
	dir, name, _ := bytes.Cut(b, nul)
	buf := appendParts(d.joined[which][:0], 0, view(dir))
	start := 0
	if len(name) > 0 && name[0] == '/' {
		start = len(buf) // from the process's own root, out of which ".." does not lead
	}
	buf = appendParts(buf, start, view(name))
	if len(buf) == 0 {
		buf = append(buf, '/')
	}
	d.joined[which] = buf
	return view(buf)
}
