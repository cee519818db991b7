package monitor

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// tail reads the lines of one file as they come.
type tail struct {
	line    func([]byte) error
	file    *os.File
	offset  int64
	partial []byte // a line without its end
	skip    bool   // until the next newline: the line is too long
	buf     []byte
}

func (t *tail) open(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return fmt.Errorf("%s is no regular file", path)
	}
	t.close()
	t.file, t.offset, t.partial, t.skip = f, 0, t.partial[:0], false
	return nil
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

// end goes to the end of the file, or rather to its last whole line's end.
func (t *tail) end() error {
	size, err := t.file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	t.offset = size
	var last [1]byte
	if _, err := t.file.ReadAt(last[:], size-1); err != nil {
		return err
	}
	t.skip = last[0] != '\n'
	return nil
}

// read hands out all lines up to the end of the file as it is now. A file that became shorter is read from its start.
func (t *tail) read() error {
	fi, err := t.file.Stat()
	if err != nil {
		return err
	}
	if fi.Size() < t.offset {
		t.offset, t.partial, t.skip = 0, t.partial[:0], false
	}
	if t.buf == nil {
		t.buf = make([]byte, 64<<10)
	}
	for {
		n, err := t.file.ReadAt(t.buf, t.offset)
		t.offset += int64(n)
		if err := t.split(t.buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tail) split(b []byte) error {
	for len(b) > 0 {
		head, rest, whole := bytes.Cut(b, newline)
		b = rest
		if !t.skip && len(t.partial)+len(head) > MaxLine {
			t.skip = true
			t.partial = t.partial[:0]
		}
		if !whole {
			if !t.skip {
				t.partial = append(t.partial, head...)
			}
			return nil
		}
		if err := t.give(head); err != nil {
			return err
		}
	}
	return nil
}

// give hands out one line: the partial one and the rest of it.
func (t *tail) give(head []byte) error {
	if t.skip {
		t.skip = false
		return nil
	}
	if len(t.partial) > 0 {
		t.partial = append(t.partial, head...)
		head = t.partial
		t.partial = t.partial[:0]
	}
	if len(head) == 0 {
		return nil
	}
	return t.line(head)
}

var newline = []byte{'\n'}
