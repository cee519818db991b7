package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// LogPath is where the daemon keeps the event log.
const LogPath = "/var/log/cisco/events.jsonl"

// Detections are kept in a log of their own too, in bytes with its rotated part: the event log of a busy host is rotated within hours.
const (
	DetectionLogPath = "/var/log/cisco/detections.jsonl"
	DetectionLogCap  = 16 << 20
)

const (
	logMode    = 0o640
	logBuffer  = 192 << 10              // bytes that wait at most before they are written
	logLatency = 200 * time.Millisecond // and for how long
	// MinLogCap is the smallest cap of an event log, in bytes: half of it holds a full buffer and a longest line.
	MinLogCap = 1 << 20
)

// rotated is the name of the file that path's contents go to when it is full.
func rotated(path string) string { return path + ".1" }

// Log is the event log: a file of JSON lines and, once that has reached half of the cap, the one before it under path.1. One writer
// at a time: the daemon.
type Log struct {
	path    string
	half    int64 // bytes that one file may have
	encoder *encoder
	dropped atomic.Uint64
	failing atomic.Pointer[error] // of the last write; nil where that worked

	mu     sync.Mutex
	file   *os.File // nil after a rotation whose second half did not work
	torn   bool     // the file ends in the middle of a line
	buf    []byte
	events uint64 // in buf
	timer  *time.Timer
	armed  bool
	err    error // of a write that no Append was there to return
	closed bool
}

// OpenLog opens the event log at path for appending, or makes it (mode 0640). Both of its files together never have more than cap
// bytes. A path that is a symbolic link or no regular file is refused.
func OpenLog(path string, cap int64) (*Log, error) {
	if cap < MinLogCap {
		return nil, fmt.Errorf("%s: cap is %d bytes, expected at least %d", path, cap, MinLogCap)
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	l := &Log{path: path, half: cap / 2, encoder: newEncoder(hostname)}
	if err := l.open(); err != nil {
		return nil, err
	}
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	return l, nil
}

// SetCap changes the cap, in bytes, from the next event on. A file that is larger already is kept until it is rotated.
func (l *Log) SetCap(cap int64) error {
	if cap < MinLogCap {
		return fmt.Errorf("%s: cap is %d bytes, expected at least %d", l.path, cap, MinLogCap)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.half = cap / 2
	return nil
}

// open opens the file and looks whether its last line is whole.
func (l *Log) open() error {
	// Reading is for the last byte. O_NONBLOCK keeps a device or pipe in the file's place from blocking.
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, logMode)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is a %v, expected a regular file", l.path, fi.Mode().Type())
	}
	if err == nil && fi.Mode().Perm()&^logMode != 0 {
		err = f.Chmod(logMode)
	}
	if err == nil && fi.Size() > 0 {
		var last [1]byte
		_, err = f.ReadAt(last[:], fi.Size()-1)
		l.torn = last[0] != '\n'
	} else {
		l.torn = false
	}
	if err != nil {
		f.Close()
		return err
	}
	l.file = f
	return nil
}

// Append adds an event. It is written within 200 ms, or when 192 KiB wait. The error is that of the last write: the events of that
// write are counted by Dropped, and later ones are tried again, so that a full disk does not end the log.
func (l *Log) Append(e *Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.dropped.Add(1)
		return fs.ErrClosed
	}
	l.buf = l.encoder.append(l.buf, e)
	l.events++
	if len(l.buf) >= logBuffer {
		l.flush()
	} else if !l.armed {
		l.armed = true
		l.timer.Reset(logLatency)
	}
	err := l.err
	l.err = nil
	return err
}

// Dropped counts the events that could not be written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Failing is why the last write did not work, nil where it did. It does not wait for a write.
func (l *Log) Failing() error {
	if err := l.failing.Load(); err != nil {
		return *err
	}
	return nil
}

// Flush writes what waits.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	err := l.err
	l.err = nil
	return err
}

// Close writes what waits. It may be called more than once.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.timer.Stop()
	l.flush()
	err := l.err
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

func (l *Log) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	if !l.closed {
		l.flush()
	}
}

// flush empties the buffer, into the file or into the count of dropped events.
func (l *Log) flush() {
	if len(l.buf) == 0 {
		return
	}
	written, err := l.write()
	if err != nil {
		l.err = err
		l.failing.Store(&err)
	} else {
		l.failing.Store(nil)
	}
	l.dropped.Add(l.events - written)
	l.buf, l.events = l.buf[:0], 0
	if cap(l.buf) > 2*(logBuffer+MaxLine) {
		l.buf = nil
	}
}

// write returns how many events are in the file, whole.
func (l *Log) write() (uint64, error) {
	size, err := l.prepare()
	if err != nil {
		return 0, err
	}
	if l.torn {
		if _, err := l.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		l.torn = false
		size++
	}
	n, err := l.file.Write(l.buf)
	if err == nil {
		return l.events, nil
	}
	whole := bytes.LastIndexByte(l.buf[:n], '\n') + 1
	if n > whole && l.file.Truncate(size+int64(whole)) != nil {
		l.torn = true
	}
	return uint64(bytes.Count(l.buf[:whole], []byte{'\n'})), err
}

// prepare makes sure that the open file is the one at path and has room for the buffer, and returns its size.
func (l *Log) prepare() (int64, error) {
	if l.file == nil || l.moved() {
		if err := l.reopen(); err != nil {
			return 0, err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(l.file.Fd()), &st); err != nil {
		return 0, &os.PathError{Op: "fstat", Path: l.path, Err: err}
	}
	need := int64(len(l.buf)) + 1
	if st.Size+need <= l.half {
		return st.Size, nil
	}
	if need > l.half {
		return 0, fmt.Errorf("%s: %d bytes wait, half of the cap is %d", l.path, need, l.half)
	}
	if err := l.rotate(); err != nil {
		return 0, err
	}
	return 0, nil
}

// moved reports whether someone removed or renamed the file, as admins and logrotate do.
func (l *Log) moved() bool {
	var here, there unix.Stat_t
	if unix.Fstat(int(l.file.Fd()), &here) != nil || unix.Lstat(l.path, &there) != nil {
		return true
	}
	return here.Ino != there.Ino || here.Dev != there.Dev
}

func (l *Log) reopen() error {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	return l.open()
}

func (l *Log) rotate() error {
	if err := os.Rename(l.path, rotated(l.path)); err != nil {
		return err
	}
	return l.reopen()
}

// ReadLog calls line for each whole line of the log at path, oldest first, without its newline. The bytes are good until line returns.
// A log that does not exist yet has no lines. An error of line ends the reading and is returned as it is.
func ReadLog(path string, line func([]byte) error) error {
	// Both are opened before any is read, and the newer one first: a rotation meanwhile takes neither away.
	var files []*tail // the newer one first
	for _, p := range []string{path, rotated(path)} {
		t := &tail{line: line}
		err := t.open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer t.close()
		if len(files) == 0 || !sameFile(files[0].file, t.file) { // it was rotated in between
			files = append(files, t)
		}
	}
	for _, t := range slices.Backward(files) {
		if err := t.read(); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(t.file.Name()), err)
		}
	}
	return nil
}

func sameFile(a, b *os.File) bool {
	fa, err := a.Stat()
	if err != nil {
		return false
	}
	fb, err := b.Stat()
	return err == nil && os.SameFile(fa, fb)
}
