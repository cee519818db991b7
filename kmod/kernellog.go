package kmod

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/terminal"
)

// KernelMessage is a record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg).
type KernelMessage struct {
	Sequence uint64
	Level    int           // 0 emergency to 7 debug
	Since    time.Duration // since boot
	Text     string        // as it may be put on a terminal
}

// Bounds of what is read of the kernel's messages.
const (
	maxRecord   = 8 << 10 // of the kernel's (PRINTK_MESSAGE_MAX and its tags)
	maxText     = 300     // characters
	maxMessages = 256     // that are kept: the last ones
	maxRecords  = 1 << 16 // that are gone through: a kernel that talks without end is not listened to without end
)

// KernelLog is a place in the kernel's messages.
type KernelLog struct {
	file *os.File
	from uint64 // the sequence number of the first one that counts
	keep int    // so many of the last ones
}

const kernelLogFile = "/dev/kmsg"

// ReadKernelLog gives the kernel's messages that its buffer still has, at most the last so many. What it needs is what FollowKernelLog needs.
func ReadKernelLog(last int) host.Reading[[]KernelMessage] {
	l, err := KernelLogFrom(0)
	if err != nil {
		return host.NotKnown[[]KernelMessage](kernelLogFile, err)
	}
	defer l.Close()
	l.keep = last
	messages, err := l.Next()
	if err != nil {
		return host.NotKnown[[]KernelMessage](kernelLogFile, err)
	}
	return host.Read(messages, kernelLogFile)
}

// FollowKernelLog remembers the present end of the kernel's messages. It needs CAP_SYSLOG where kernel.dmesg_restrict is set.
func FollowKernelLog() (*KernelLog, error) { return openKernelLog(0, unix.SEEK_END) }

// KernelLogFrom takes up the messages from a sequence number on.
func KernelLogFrom(sequence uint64) (*KernelLog, error) {
	return openKernelLog(sequence, unix.SEEK_SET)
}

func openKernelLog(from uint64, whence int) (*KernelLog, error) {
	f, err := os.OpenFile(kernelLogFile, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Seek(int(f.Fd()), 0, whence); err != nil {
		f.Close()
		return nil, fmt.Errorf("seek %s: %w", kernelLogFile, err)
	}
	return &KernelLog{f, from, maxMessages}, nil
}

// Close ends the reading.
func (l *KernelLog) Close() error { return l.file.Close() }

// Next gives the messages that came since, the last of them if there are many.
func (l *KernelLog) Next() ([]KernelMessage, error) {
	messages, err := drain(func(b []byte) (int, error) { return unix.Read(int(l.file.Fd()), b) }, l.from, l.keep)
	if n := len(messages); n > 0 {
		l.from = messages[n-1].Sequence + 1
	}
	return messages, err
}

// drain reads record by record until there is none. One that was overwritten before it was read (EPIPE) is gone; the next is the oldest that is left.
func drain(read func([]byte) (int, error), from uint64, keep int) ([]KernelMessage, error) {
	var messages []KernelMessage
	record := make([]byte, maxRecord)
	for range maxRecords {
		n, err := read(record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return messages, nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return messages, fmt.Errorf("read %s: %w", kernelLogFile, err)
		case n == 0:
			return messages, nil
		}
		m, ok := parseRecord(record[:n])
		if !ok || m.Sequence < from {
			continue
		}
		if len(messages) == keep {
			messages = messages[1:]
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// parseRecord reads "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,…];TEXT\n" and passes over the tags behind it, which begin with a space.
func parseRecord(b []byte) (KernelMessage, bool) {
	head, text, ok := bytes.Cut(b, []byte(";"))
	fields := strings.Split(string(head), ",")
	if !ok || len(fields) < 4 {
		return KernelMessage{}, false
	}
	priority, err1 := strconv.ParseUint(fields[0], 10, 32)
	sequence, err2 := strconv.ParseUint(fields[1], 10, 64)
	micro, err3 := strconv.ParseInt(fields[2], 10, 54)
	if errors.Join(err1, err2, err3) != nil || micro < 0 || micro > int64(1<<63-1)/int64(time.Microsecond) {
		return KernelMessage{}, false
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	return KernelMessage{sequence, int(priority & 7), time.Duration(micro) * time.Microsecond, printable(string(text))}, true
}

// printable is a message as it may be shown, of at most maxText characters.
func printable(s string) string {
	s = terminal.Line(s)
	n := 0
	for i := range s {
		if n++; n > maxText {
			return s[:i]
		}
	}
	return s
}
