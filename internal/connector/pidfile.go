package connector

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ampconnector/amp/internal/durable"
)

// ErrRunning is in the chain of the error of Run when another daemon holds the pid file.
var ErrRunning = errors.New("another ampdaemon is running")

// pidFile is held by flock(2), so that a stale file is told from a true one, and two daemons never run at once. Others cannot open it: whoever can
// open a file can lock it, and after a daemon that was killed, and left the file, no other one would start.
type pidFile struct {
	file *os.File
	path string
}

func lockPIDFile(path string) (*pidFile, error) {
	if err := durable.MakeFolder(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := f.Chmod(0o600); err != nil { // of one that was made with another mode
			f.Close()
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			holder, _ := io.ReadAll(io.LimitReader(f, 32))
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, fmt.Errorf("%s: %w, pid %s", path, ErrRunning, strings.TrimSpace(string(holder)))
			}
			return nil, &os.PathError{Op: "flock", Path: path, Err: err}
		}
		if !stillNamed(f, path) { // the one before removed it while this one waited to open it
			f.Close()
			continue
		}
		p := &pidFile{f, path}
		if err := p.write(os.Getpid()); err != nil {
			p.release()
			return nil, err
		}
		return p, nil
	}
}

func stillNamed(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

func (p *pidFile) write(pid int) error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.WriteAt(fmt.Appendf(nil, "%d\n", pid), 0)
	return err
}

// release removes the file while it is still held.
func (p *pidFile) release() {
	os.Remove(p.path)
	p.file.Close()
}
