package degraded

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// Layout of struct fanotify_event_metadata and of the records behind it, fanotify(7) and uapi/linux/fanotify.h. All sizes in bytes.
const (
	fanotifyHead   = 24 // FAN_EVENT_METADATA_LEN
	fanotifyLatest = 3  // FANOTIFY_METADATA_VERSION
	infoHead       = 4  // struct fanotify_event_info_header
	fsidSize       = 8
	handleHead     = 8   // handle_bytes and handle_type of struct file_handle
	handleMost     = 128 // MAX_HANDLE_SZ
	nameMost       = 255 // NAME_MAX
)

// fileID names a file or directory inside its file system: fsid and struct file_handle as the kernel gave them, which together are a key
// of the cache of directories. It is a view of the record.
type fileID []byte

func (f fileID) fsid() (id [fsidSize]byte) {
	copy(id[:], f)
	return id
}

// handle is type and bytes of the file handle.
func (f fileID) handle() (kind int32, b []byte) {
	return int32(u32(f, fsidSize+4)), f[fsidSize+handleHead:]
}

// entryID is a name in a directory.
type entryID struct {
	dir  fileID
	name []byte // "." is the directory itself
}

func (e entryID) known() bool { return e.dir != nil }

// fanotifyRecord is one event of a fanotify group. What it points to is a view of what was read.
type fanotifyRecord struct {
	mask   uint64
	pid    uint32
	fd     int32 // of the file, FAN_NOFD where the group reports ids
	entry  entryID
	target entryID // FAN_RENAME: the new name
	file   fileID  // what the entry names; nil where it is not told
}

// next reads the record that b begins with, and returns its size. It trusts no length in it.
func (r *fanotifyRecord) next(b []byte) (int, error) {
	if len(b) < fanotifyHead {
		return 0, fmt.Errorf("fanotify record of %d bytes, expected at least %d", len(b), fanotifyHead)
	}
	size, version, head := u32(b, 0), b[4], u16(b, 6)
	switch {
	case version != fanotifyLatest:
		return 0, fmt.Errorf("fanotify record of version %d, expected %d", version, fanotifyLatest)
	case size < fanotifyHead || uint64(size) > uint64(len(b)):
		return 0, fmt.Errorf("fanotify record says %d bytes, %d were read", size, len(b))
	case head < fanotifyHead || uint32(head) > size:
		return 0, fmt.Errorf("fanotify record of %d bytes says that its head has %d", size, head)
	}
	*r = fanotifyRecord{mask: u64(b, 8), fd: int32(u32(b, 16)), pid: u32(b, 20)}
	return int(size), r.infos(b[head:size])
}

// infos reads the records behind the head. Those of a type that is not known are skipped: kernels add to them.
func (r *fanotifyRecord) infos(b []byte) error {
	for len(b) > 0 {
		if len(b) < infoHead {
			return fmt.Errorf("fanotify record ends with %d bytes, expected a head of %d", len(b), infoHead)
		}
		size := int(u16(b, 2))
		if size < infoHead || size > len(b) {
			return fmt.Errorf("fanotify record's part of type %d says %d bytes, %d are left", b[0], size, len(b))
		}
		if err := r.info(b[0], b[infoHead:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func (r *fanotifyRecord) info(kind byte, b []byte) (err error) {
	switch kind {
	case unix.FAN_EVENT_INFO_TYPE_FID:
		r.file, _, err = cutFileID(b)
	case unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		r.entry, err = cutEntry(b)
	case unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		r.target, err = cutEntry(b)
	}
	return err
}

// cutFileID splits struct fanotify_event_info_fid, without its head, from what follows.
func cutFileID(b []byte) (id fileID, rest []byte, err error) {
	if len(b) < fsidSize+handleHead {
		return nil, nil, fmt.Errorf("fanotify file id of %d bytes, expected at least %d", len(b), fsidSize+handleHead)
	}
	n := u32(b, fsidSize)
	if n > handleMost || int(n) > len(b)-fsidSize-handleHead {
		return nil, nil, fmt.Errorf("fanotify file handle says %d bytes, %d are left", n, len(b)-fsidSize-handleHead)
	}
	end := fsidSize + handleHead + int(n)
	return fileID(b[:end:end]), b[end:], nil
}

// cutEntry reads a file id and the name behind it.
func cutEntry(b []byte) (entryID, error) {
	id, name, err := cutFileID(b)
	if err != nil {
		return entryID{}, err
	}
	end := bytes.IndexByte(name, 0)
	if end <= 0 || end > nameMost || bytes.IndexByte(name[:end], '/') >= 0 {
		return entryID{}, fmt.Errorf("fanotify record's name %.40q, expected 1 to %d bytes without a slash, and a NUL", name, nameMost)
	}
	return entryID{id, name[:end:end]}, nil
}
