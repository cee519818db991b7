package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/fault"
)

// accountLockPaths are the lock files of shadow's tools. Each is made with link(2) from a file that holds the maker's process id
// already (commonio.c), so that none of shadow's own is ever without one.
var accountLockPaths = []string{"/etc/passwd.lock", "/etc/group.lock", "/etc/shadow.lock", "/etc/gshadow.lock"}

// lckpwdfPath is the file that lckpwdf(3) locks with fcntl(2). The file itself means nothing.
const lckpwdfPath = "/etc/.pwd.lock"

// lockMargin is how much later than the lock a process must have been started to be proven not to have made it.
const lockMargin = 2 * time.Second

// accountPrograms are the programs, by comm(5) name, that lock account files.
var accountPrograms = strings.Fields(`useradd usermod userdel groupadd groupmod groupdel groupmems gpasswd passwd chpasswd chgpasswd
	chage chsh chfn newusers vipw vigr pwck grpck pwconv pwunconv grpconv grpunconv adduser deluser addgroup delgroup
	systemd-sysuser systemd-sysusers systemd-homed luseradd lusermod luserdel lgroupadd`)

// ErrAccountLocked is in the chain of errors about account files that another program has locked.
var ErrAccountLocked = errors.New("the account files are locked")

// accountLock is one of shadow's lock files, as found.
type accountLock struct {
	Name string // below the root
	path string
	made time.Time
	pid  int // 0 where it holds none that shadow could read
}

// readAccountLock returns nil if there is no such lock.
func readAccountLock(h *Host, name string) (*accountLock, error) {
	path, err := h.Root.Path(name)
	if err != nil {
		return nil, err
	}
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &accountLock{Name: name, path: path, made: fi.ModTime()}
	b, err := h.Root.ReadFile(name, 31) // as much as shadow reads
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // gone in between
	}
	if err == nil {
		b, _, _ = bytes.Cut(b, []byte{0})
		l.pid, _ = strconv.Atoi(string(b))
	}
	return l, nil
}

// dead reports whether shadow will remove the lock by itself: the process that made it is gone.
func (l *accountLock) dead() bool {
	return l.pid > 0 && errors.Is(syscall.Kill(l.pid, 0), syscall.ESRCH)
}

// stale reports why nobody can be holding a lock that shadow takes for held; "" where that is not proven.
func (l *accountLock) stale() string {
	if l.pid <= 0 {
		if boot, err := bootTime(); err == nil && l.made.Before(boot.Add(-lockMargin)) {
			return "holds no process id and is older than this boot"
		}
		return ""
	}
	p, err := processOf(l.pid)
	switch {
	case err != nil:
		return ""
	case p.ended:
		return fmt.Sprintf("is of process %d (%s), which has ended and is still listed", l.pid, p.comm)
	case isAccountProgram(p.comm) || !p.started.After(l.made.Add(lockMargin)):
		return ""
	}
	return fmt.Sprintf("is of a process %d that is gone: %s has that number now and was started later", l.pid, p.comm)
}

// holder is who holds the lock, for a person.
func (l *accountLock) holder() string {
	if l.pid <= 0 {
		return fmt.Sprintf("%s holds no process id, so no account tool made it; if nobody freezes the accounts on purpose, remove it", l.path)
	}
	comm := "name not known"
	if p, err := processOf(l.pid); err == nil {
		comm = p.comm
	}
	return fmt.Sprintf("%s is held by process %d (%s) since %s", l.path, l.pid, comm, l.made.Format(time.RFC3339))
}

func isAccountProgram(comm string) bool {
	for _, p := range accountPrograms {
		if comm == p {
			return true
		}
	}
	return false
}

// process is what proc(5) tells of one.
type process struct {
	comm    string
	ended   bool // a zombie: it runs no more, and kill(2) still finds it
	started time.Time
}

// processOf reads /proc/PID/stat.
func processOf(pid int) (process, error) {
	name := fmt.Sprintf("/proc/%d/stat", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return process{}, err
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("%s: no name in parentheses", name)
	}
	fields := strings.Fields(string(b[end+1:]))
	const state, start = 3 - 3, 22 - 3 // the first field after the name is the third
	if len(fields) <= start {
		return process{}, fmt.Errorf("%s: %d fields after the name, more than %d expected", name, len(fields), start)
	}
	ticks, err := strconv.ParseInt(fields[start], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("%s: start: %w", name, err)
	}
	boot, err := bootTime()
	const perSecond = 100 // USER_HZ on all architectures that we build for
	return process{string(b[open+1 : end]), fields[state] == "Z", boot.Add(time.Duration(ticks) * time.Second / perSecond)}, err
}

// bootTime is when the kernel started, by today's clock (proc(5), stat, btime).
func bootTime() (time.Time, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			s, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return time.Unix(s, 0), err
		}
	}
	return time.Time{}, errors.New("/proc/stat: no line btime")
}

// heldAccountLocks are the locks that would make an account tool fail.
func heldAccountLocks(h *Host) ([]*accountLock, error) {
	var held []*accountLock
	for _, name := range accountLockPaths {
		l, err := readAccountLock(h, name)
		if err != nil {
			return nil, err
		}
		if l != nil && !l.dead() {
			held = append(held, l)
		}
	}
	return held, nil
}

// waitForAccountLocks waits until no other program holds a lock. A lock without a holder is not worth waiting for.
func waitForAccountLocks(ctx context.Context, h *Host) error {
	held, err := heldAccountLocks(h)
	if err != nil || len(held) == 0 {
		return err
	}
	if held[0].pid > 0 && held[0].stale() == "" {
		ctx, cancel := context.WithTimeout(ctx, h.accountWait)
		defer cancel()
		if held, err = untilUnlocked(ctx, h, filepath.Dir(held[0].path)); err != nil || len(held) == 0 {
			return err
		}
	}
	errs := []error{ErrAccountLocked}
	for _, l := range held {
		errs = append(errs, errors.New(l.holder()))
	}
	return errors.Join(errs...)
}

// untilUnlocked watches the folder of the locks until none is held, or the context ends; it returns those held then.
func untilUnlocked(ctx context.Context, h *Host, dir string) ([]*accountLock, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO); err != nil {
		return nil, fmt.Errorf("inotify: %s: %w", dir, err)
	}
	stop := context.AfterFunc(ctx, func() { events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		held, err := heldAccountLocks(h)
		if err != nil || len(held) == 0 {
			return nil, err
		}
		if _, err := events.Read(buf); err != nil { // the time is over; a holder that died removed nothing
			return heldAccountLocks(h)
		}
	}
}

// AccountLocks is the step that removes lock files of account tools that nobody can be holding and that shadow takes for held: ones
// without a process id from before this boot, and ones whose process id was given to a later process. Those of dead processes are
// removed by shadow itself. Any other lock is left alone.
type AccountLocks struct {
	Removed []string // lock files that were found stale
}

func init() { register(func() Step { return &AccountLocks{} }) }

// Kind implements Step.
func (s *AccountLocks) Kind() string { return "account-locks" }

// Title implements Step.
func (s *AccountLocks) Title() fault.Text {
	return fault.Text{
		EN: "remove lock files that interrupted account tools left behind",
		JA: "中断されたアカウント管理ツールが残したロックファイルの削除",
	}
}

// Commands implements Step.
func (s *AccountLocks) Commands() []string {
	if len(s.Removed) == 0 {
		return nil
	}
	return []string{commandLine("rm", s.Removed)}
}

// Needed implements Step.
func (s *AccountLocks) Needed(_ context.Context, h *Host) (bool, error) {
	s.Removed = nil
	held, err := heldAccountLocks(h)
	for _, l := range held {
		if l.stale() != "" {
			s.Removed = append(s.Removed, l.Name)
		}
	}
	return len(s.Removed) > 0, err
}

// Prepare implements Step.
func (s *AccountLocks) Prepare(context.Context, *Host) error { return nil }

// Apply implements Step. No account tool can take a lock while it looks.
func (s *AccountLocks) Apply(ctx context.Context, h *Host) error {
	unlock, err := lckpwdf(h)
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range s.Removed {
		l, err := readAccountLock(h, name)
		if err != nil {
			return err
		}
		if l == nil || l.stale() == "" {
			continue
		}
		h.Log.WarnContext(ctx, "removing a stale lock", "file", l.path, "reason", l.stale())
		if _, err := durable.Remove(l.path); err != nil {
			return explainFull(err)
		}
	}
	return nil
}

// Undo implements Step. A lock that nobody held is nothing to bring back.
func (s *AccountLocks) Undo(context.Context, *Host) error { return nil }

// lckpwdf takes the lock of lckpwdf(3), or says who has it.
func lckpwdf(h *Host) (unlock func(), err error) {
	path, err := h.Root.Path(lckpwdfPath)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, explainFull(err)
	}
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		defer f.Close()
		asked := unix.Flock_t{Type: unix.F_WRLCK}
		if unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &asked) == nil && asked.Pid > 0 {
			p, _ := processOf(int(asked.Pid)) // only its name, for a person
			return nil, fmt.Errorf("%w: %s is held by process %d (%s)", ErrAccountLocked, path, asked.Pid, p.comm)
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrAccountLocked, path, err)
	}
	return func() { f.Close() }, nil
}
