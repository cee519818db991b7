package installer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
)

const (
	// pidFile is written by a daemon that no service manager started. The daemon holds a flock(2) on it for as long as it lives,
	// so that a stale file is told from a true one.
	pidFile = "/run/cisco-amp/ampdaemon.pid"
	// processLog takes what a plain daemon prints.
	processLog = "/var/log/cisco/ampdaemon.log"

	readyWait = 15 * time.Second // for a started daemon to say that it is ready
	endWait   = 10 * time.Second // for a daemon to end after SIGTERM
	killWait  = 2 * time.Second  // for it to end after SIGKILL
)

// runningProcess returns the process id of the plain daemon, 0 if none runs.
func runningProcess(h *Host) (int, error) {
	path, err := h.Root.Path(pidFile)
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return 0, nil // nobody holds it: whoever wrote it is gone
	} else if !errors.Is(err, unix.EWOULDBLOCK) {
		return 0, fmt.Errorf("flock %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return 0, fmt.Errorf("%s: read %q, expected a process id; a process holds the file's lock", path, b)
	}
	return pid, nil
}

// stopProcess ends the plain daemon, if one runs: SIGTERM, and SIGKILL where that is not enough. The pidfd makes sure that
// no other process that got the number meanwhile is meant.
func stopProcess(ctx context.Context, h *Host) error {
	pid, err := runningProcess(h)
	if pid == 0 || err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
		return stopByNumber(ctx, h, pid)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if again, err := runningProcess(h); again != pid || err != nil {
		return err
	}
	for _, try := range stops {
		if err := unix.PidfdSendSignal(fd, try.signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal %d to ampdaemon (process %d): %w", try.signal, pid, err)
		}
		ended, err := waitEnd(ctx, fd, try.wait)
		if ended || err != nil {
			return err
		}
	}
	return didNotEnd(pid)
}

// waitEnd waits on a pidfd, which is readable once its process has ended.
func waitEnd(ctx context.Context, fd int, wait time.Duration) (bool, error) {
	deadline := time.Now().Add(wait)
	for {
		left := min(time.Until(deadline), time.Second) // so that an ended context is seen
		if left <= 0 {
			return false, nil
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		switch {
		case n > 0:
			return true, nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("poll: %w", err)
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
	}
}

// stopByNumber is stopProcess for kernels without pidfds. The daemon's lock on its pid file tells when it is gone, and that it is not, so that its number is
// still its own.
func stopByNumber(ctx context.Context, h *Host, pid int) error {
	path, err := h.Root.Path(pidFile)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	gone := make(chan error, 1)
	for i, try := range stops {
		if err := unix.Kill(pid, try.signal); errors.Is(err, unix.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("signal %d to ampdaemon (process %d): %w", try.signal, pid, err)
		}
		if i == 0 {
			go func() { gone <- unix.Flock(int(f.Fd()), unix.LOCK_SH) }()
		}
		select {
		case err := <-gone:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(try.wait):
		}
	}
	return didNotEnd(pid)
}

// stops are the signals that end a daemon, and how long it may take after each.
var stops = []struct {
	signal unix.Signal
	wait   time.Duration
}{{unix.SIGTERM, endWait}, {unix.SIGKILL, killWait}}

func didNotEnd(pid int) error {
	return fmt.Errorf("ampdaemon (process %d) did not end within %v of SIGTERM and %v of SIGKILL", pid, endWait, killWait)
}

// startProcess starts the daemon as a process of its own and waits until it says that it is ready (sd_notify(3), over a
// socket of ours) or ends.
func startProcess(ctx context.Context, h *Host, binary string) error {
	if pid, err := runningProcess(h); pid != 0 || err != nil {
		return err
	}
	folder, err := notifyFolder(h)
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd, err := daemonCommand(h, binary, name)
	if err != nil {
		return err
	}
	closeOnExec()
	if err := cmd.Start(); err != nil {
		return err
	}
	h.Log.Info("started the daemon as a process", "pid", cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	said := make(chan error, 1)
	go func() { said <- readReady(ready) }()
	select {
	case err := <-said:
		return err
	case err := <-ended:
		return fmt.Errorf("%s ended at once: %w; its last words: %s", binary, orNil(err), lastLine(h, processLog))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// orNil gives the end with status 0 words too.
func orNil(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func daemonCommand(h *Host, binary, notify string) (*exec.Cmd, error) {
	dir, err := h.Root.Path(filepath.Dir(processLog)) // the folder's: whoever may write to it could make the log a link
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	out, err := durable.OpenLog(filepath.Join(dir, filepath.Base(processLog)), 0o640)
	if err != nil {
		return nil, err
	}
	program, err := h.Root.Path(binary)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program) // outlives this program, so its context does not end it
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "NOTIFY_SOCKET=" + notify}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// notifyFolder makes a folder for the socket that a daemon tells its state to. Root alone can come to what is in it: who else could would say that the
// daemon is ready, or say so much that its own word finds no room.
func notifyFolder(h *Host) (string, error) {
	run, err := h.Root.Path(filepath.Dir(pidFile))
	if err != nil {
		return "", err
	}
	if err := durable.MakeFolder(run, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(run, "start-") // with mode 0700
}

// readReady reads messages until one says READY=1.
func readReady(c *net.UnixConn) error {
	if err := c.SetReadDeadline(time.Now().Add(readyWait)); err != nil {
		return err
	}
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return fmt.Errorf("the daemon was started and did not say within %v that it is ready: %w", readyWait, err)
		}
		for line := range strings.SplitSeq(string(b[:n]), "\n") {
			if line == "READY=1" {
				return nil
			}
		}
	}
}

// closeOnExec keeps descriptors that a package manager left open from living on in the daemon: apt and debconf wait for the
// end of their pipes.
func closeOnExec() {
	const first = 3
	if unix.CloseRange(first, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}

// lastLine is the last line of a log below the root, for an error message.
func lastLine(h *Host, name string) string {
	tail := h.Root.Tail(name, 1)
	if !tail.Known() {
		return tail.Err.Error()
	}
	return strings.Join(tail.Value, "")
}
