package selinux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStoreLocked is in the chain of the error of Apply when another program kept the policy store's lock for the whole wait.
var ErrStoreLocked = errors.New("another program is changing the SELinux policy")

// lockNames are libsemanage's locks (flock(2)), below the store: the first is held for a whole change, the second while the new store is put
// in place of the old, and by readers.
var lockNames = []string{"semanage.trans.LOCK", "semanage.read.LOCK"}

// waitLock waits until nobody holds the store's locks, and with them in hand repairs the store.
func (s store) waitLock(ctx context.Context, wait time.Duration) error {
	var held []*os.File
	defer func() {
		for _, f := range held {
			f.Close() // gives the lock back
		}
	}()
	for _, name := range lockNames {
		file, err := s.root.Path(path.Join(s.dir, name))
		if err != nil {
			return err
		}
		f, err := flock(ctx, file)
		switch {
		case errors.Is(err, fs.ErrNotExist): // libsemanage makes it with the first change
		case err != nil && ctx.Err() != nil:
			return s.lockedError(ctx, wait)
		case err != nil:
			return err
		default:
			held = append(held, f)
		}
	}
	return s.repair()
}

// flock locks a file for itself alone. When ctx ends first, the lock is given back as soon as it comes.
func flock(ctx context.Context, file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return f, nil
	} else if err != unix.EWOULDBLOCK {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	got := make(chan error, 1)
	go func() {
		err := unix.EINTR
		for err == unix.EINTR {
			err = errno(unix.Flock(int(f.Fd()), unix.LOCK_EX))
		}
		if err != 0 {
			got <- err
			return
		}
		got <- nil
	}()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		return f, nil
	case <-ctx.Done():
		go func() {
			<-got
			f.Close()
		}()
		return nil, ctx.Err()
	}
}

func errno(err error) syscall.Errno {
	var n syscall.Errno
	_ = errors.As(err, &n)
	return n
}

// lockedError says why the lock did not come: the caller ended the wait, or it was too long.
func (s store) lockedError(ctx context.Context, wait time.Duration) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w: %w", s.dir, ErrStoreLocked, ctx.Err())
	}
	if who := s.holder(); who != "" {
		return fmt.Errorf("%s: %w: locked for %s by %s", s.dir, ErrStoreLocked, wait, who)
	}
	return fmt.Errorf("%s: %w: locked for %s", s.dir, ErrStoreLocked, wait)
}

// holder names the program that holds one of the store's locks, "" where it cannot be seen.
func (s store) holder() string {
	for _, name := range lockNames {
		file, err := s.root.Path(path.Join(s.dir, name))
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(file, &st); err != nil {
			continue
		}
		locks, err := os.Open("/proc/locks")
		if err != nil {
			return ""
		}
		pid := lockOwner(locks, st.Dev, st.Ino)
		locks.Close()
		if pid != 0 {
			return program("/proc", pid)
		}
	}
	return ""
}

// lockOwner finds in proc_locks(5) the process that holds a flock on an inode, 0 if none does. On file systems with volumes of their own
// (btrfs, overlay) stat and the lock table name different devices: the inode alone then decides.
func lockOwner(table io.Reader, dev, inode uint64) int {
	byInode := 0
	for lines := bufio.NewScanner(io.LimitReader(table, 4<<20)); lines.Scan(); {
		// "3: FLOCK  ADVISORY  WRITE 17523 fe:01:131 0 EOF"; a waiter has "->" after the number.
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		id := strings.Split(f[5], ":")
		if err != nil || pid <= 0 || len(id) != 3 || id[2] != strconv.FormatUint(inode, 10) {
			continue
		}
		major, errMajor := strconv.ParseUint(id[0], 16, 32)
		minor, errMinor := strconv.ParseUint(id[1], 16, 32)
		if errMajor == nil && errMinor == nil && unix.Mkdev(uint32(major), uint32(minor)) == dev {
			return pid
		}
		byInode = pid
	}
	return byInode
}

// program names a process for a person.
func program(proc string, pid int) string {
	comm, err := readSmall(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil || comm == "" {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (process %d)", comm, pid)
}
