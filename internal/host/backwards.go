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
	var rest []byte // the beginning of what was read last, whose line begins further back
	skip := false   // it is too long
	for end > 0 && read < limit {
		n := min(end, backwardsChunk, limit-read)
		chunk := make([]byte, n, n+int64(len(rest)))
		if _, err := io.ReadFull(io.NewSectionReader(f, end-n, n), chunk); err != nil {
			return read, err // it became shorter
		}
		end, read = end-n, read+n
		chunk = append(chunk, rest...)
		for {
			i := bytes.LastIndexByte(chunk, '\n')
			if i < 0 {
				break
			}
			if text := chunk[i+1:]; !skip && len(text) > 0 && !line(text) {
				return read, nil
			}
			chunk, skip = chunk[:i], false
		}
		rest = chunk
		if skip = skip || len(rest) > maxLogLine; skip {
			rest = nil
		}
	}
	if end == 0 && len(rest) > 0 {
		line(rest)
	}
	return read, nil
}

// maxLogLine bounds a line of a log; auditd(8) writes at most 8 970 bytes, and the event log 256 KiB.
const maxLogLine = 256 << 10
