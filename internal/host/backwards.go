package host

import (
	"bytes"
	"io"
)

// backwardsChunk is how much of a log is read at once, in bytes.
const backwardsChunk = 256 << 10

// Backwards calls line for each line of a log, the newest first, without its end, until line returns false or limit bytes were read; it
// returns how many were. A first line that begins further back than is read is left out. The bytes are good until line returns.
func (r Root) Backwards(name string, limit int64, line func([]byte) bool) (read int64, err error) {
	path, err := r.Path(name)
	if err != nil {
		return 0, err
	}
	f, err := openRegular(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	b := backwards{line: line}
	for end > 0 && read < limit {
		n := min(end, backwardsChunk, limit-read)
		chunk := make([]byte, n, n+int64(len(b.rest)))
		if _, err := io.ReadFull(io.NewSectionReader(f, end-n, n), chunk); err != nil {
			return read, err // it became shorter
		}
		end, read = end-n, read+n
		if !b.take(chunk) {
			return read, nil
		}
	}
	if end == 0 && len(b.rest) > 0 {
		line(b.rest)
	}
	return read, nil
}

// backwards are the lines of what is read from the end.
type backwards struct {
	line func([]byte) bool
	rest []byte // the beginning of what was read last, whose line begins further back
	skip bool   // that line is too long
}

// take takes in what stands before all that was read, and reports whether more is wanted.
func (b *backwards) take(chunk []byte) bool {
	chunk = append(chunk, b.rest...)
	for i := bytes.LastIndexByte(chunk, '\n'); i >= 0; i = bytes.LastIndexByte(chunk, '\n') {
		if text := chunk[i+1:]; !b.skip && len(text) > 0 && !b.line(text) {
			return false
		}
		chunk, b.skip = chunk[:i], false
	}
	b.rest = chunk
	if b.skip = b.skip || len(chunk) > maxLogLine; b.skip {
		b.rest = nil
	}
	return true
}

// maxLogLine bounds a line of a log; auditd(8) writes at most 8 970 bytes, and the event log 256 KiB.
const maxLogLine = 256 << 10
