package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// mostCopied is the size, in bytes, up to which a file is scanned as a copy in memory. Each rebuild of an SELinux policy writes the policy, of three
// million, and its compiled file contexts, of seven: to scan them was most of what the scan service had to do after it.
const mostCopied = 16 << 20

// copied is a copy of a file in memory, memfd_create(2), that nobody but this process can write to. What is hashed are then the very bytes that are
// scanned: of a file itself, which somebody may have mapped, no look before and after can say that. It is used for one file after another.
type copied struct {
	memory *os.File // for writing. While it is open no event tells of it, and the scan service gets the other one
	view   *os.File // for reading alone
	buffer []byte
	sum    verdicts.Content
}

func newCopied() (*copied, error) {
	fd, err := unix.MemfdCreate("amp-scan", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before 6.3
		fd, err = unix.MemfdCreate("amp-scan", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	c := &copied{memory: os.NewFile(uintptr(fd), "memfd:amp-scan"), buffer: make([]byte, 32<<10)}
	if err := c.memory.Chmod(0o400); err != nil { // the scan service cannot open it for writing either
		return nil, errors.Join(err, c.memory.Close())
	}
	if c.view, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		return nil, errors.Join(err, c.memory.Close())
	}
	return c, nil
}

// take makes it the copy of a file. before is called before each piece.
func (c *copied) take(f *os.File, size uint64, before func()) error {
	if err := c.memory.Truncate(0); err != nil {
		return err
	}
	h := sha256.New()
	var at int64
	for {
		before()
		n, err := f.ReadAt(c.buffer, at)
		if _, werr := c.memory.WriteAt(c.buffer[:n], at); werr != nil {
			return werr
		}
		h.Write(c.buffer[:n])
		at += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if uint64(at) > size {
			break
		}
	}
	if uint64(at) != size {
		return fmt.Errorf("%s: at least %d bytes, expected %d", f.Name(), at, size)
	}
	h.Sum(c.sum[:0])
	return nil
}

func (c *copied) close() { _ = errors.Join(c.view.Close(), c.memory.Close()) }

// copyOf is a copy of a file, nil where it is too large, changes meanwhile, or cannot be copied: then it is scanned itself. So is what a server or a
// program (FUSE) gives: a reading that never ends is the scan service's to hang on, which is ended for it.
func (q *Queue) copyOf(ctx context.Context, f *os.File, id *verdicts.Identity) *copied {
	if id.Size > mostCopied || !id.Local() {
		return nil
	}
	var c *copied
	select {
	case c = <-q.copies:
	default:
		var err error
		if c, err = newCopied(); err != nil {
			q.Log.Debug("files are scanned without a copy", "error", err)
			return nil
		}
	}
	if err := c.take(f, id.Size, func() { q.await(ctx, q.holding()) }); err != nil {
		q.Log.Debug("a file is scanned without a copy", "path", f.Name(), "error", err)
		q.spare(c)
		return nil
	}
	return c
}

// spare keeps a copy that nobody reads any more for the next file, without its memory.
func (q *Queue) spare(c *copied) {
	if err := c.memory.Truncate(0); err == nil {
		select {
		case q.copies <- c:
			return
		default:
		}
	}
	c.close()
}
