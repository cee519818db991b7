package degraded

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
)

// FanotifyUser is another process's fanotify group.
type FanotifyUser struct {
	PID    uint32
	Comm   string
	Flags  uint32 // of fanotify_init(2)
	Marks  int
	Events uint64 // that its marks ask for, FAN_*
}

// Decides reports whether accesses wait for the process's answer: a group of class content or pre-content that asks for permission events.
func (u FanotifyUser) Decides() bool {
	const permissions = unix.FAN_OPEN_PERM | unix.FAN_ACCESS_PERM | unix.FAN_OPEN_EXEC_PERM
	return u.Flags&(unix.FAN_CLASS_CONTENT|unix.FAN_CLASS_PRE_CONTENT) != 0 && u.Events&permissions != 0
}

// FanotifyLimits are what the kernel allows each user, 0 where it does not say: before Linux 5.13.
type FanotifyLimits struct {
	Groups, Marks, QueuedEvents uint64
}

// Bounds of the search.
const (
	usersMost     = 256
	fdinfoMost    = 1 << 20 // bytes of one file: a group may have many marks
	fanotifyGroup = "anon_inode:[fanotify]"
)

// FanotifyUsers finds the fanotify groups of other processes below proc, where proc(5) is mounted. It reads a link of each open file on
// the host, which takes about a second for a million; ctx ends it early, with what was found until then and ctx's error.
func FanotifyUsers(ctx context.Context, proc string) (users []FanotifyUser, limits FanotifyLimits, err error) {
	limits = FanotifyLimits{readLimit(proc, "max_user_groups"), readLimit(proc, "max_user_marks"), readLimit(proc, "max_queued_events")}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, limits, err
	}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil || int(pid) == os.Getpid() {
			continue
		}
		if ctx.Err() != nil {
			return users, limits, ctx.Err()
		}
		users = append(users, groupsOf(proc, uint32(pid))...)
		if len(users) >= usersMost {
			return users[:usersMost], limits, nil
		}
	}
	return users, limits, nil
}

func readLimit(proc, name string) uint64 {
	b, err := os.ReadFile(filepath.Join(proc, "sys/fs/fanotify", name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// groupsOf are the groups of one process. One that ended meanwhile has none.
func groupsOf(proc string, pid uint32) (users []FanotifyUser) {
	dir := filepath.Join(proc, strconv.FormatUint(uint64(pid), 10))
	d, err := os.Open(filepath.Join(dir, "fd"))
	if err != nil {
		return nil
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(512)
		for _, name := range names {
			if link, e := os.Readlink(filepath.Join(dir, "fd", name)); e != nil || link != fanotifyGroup {
				continue
			}
			u := FanotifyUser{PID: pid, Comm: readComm(dir)}
			if f, e := os.Open(filepath.Join(dir, "fdinfo", name)); e == nil {
				u.read(io.LimitReader(f, fdinfoMost))
				f.Close()
			}
			users = append(users, u)
		}
		if err != nil || len(users) >= usersMost {
			return users
		}
	}
}

func readComm(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// read reads the lines of fdinfo that begin with "fanotify", proc_pid_fdinfo(5): one of the group, and one of each mark.
func (u *FanotifyUser) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "fanotify" {
			continue
		}
		if flags, ok := hexField(f, "flags:"); ok {
			u.Flags = uint32(flags)
			continue
		}
		if mask, ok := hexField(f, "mask:"); ok {
			u.Marks++
			u.Events |= mask
		}
	}
}

func hexField(fields []string, key string) (uint64, bool) {
	for _, f := range fields {
		if v, ok := strings.CutPrefix(f, key); ok {
			n, err := strconv.ParseUint(v, 16, 64)
			return n, err == nil
		}
	}
	return 0, false
}

var (
	otherDecides = fault.Text{
		EN: "Process %d (%s) decides by fanotify which files may be opened: while it does not answer, everybody waits who opens one, the connector too. The connector itself only listens and keeps nobody waiting.",
		JA: "プロセス %d(%s)は fanotify でファイルを開く許可を判断しています。応答しない間は、コネクタを含め、ファイルを開くすべてのプロセスが待たされます。コネクタ自身は通知を受け取るだけで、他のプロセスを待たせません。",
	}
	othersListen = fault.Text{
		EN: "Process %d (%s) listens by fanotify too; the two do not disturb each other.",
		JA: "プロセス %d(%s)も fanotify で通知を受け取っています。互いに影響はありません。",
	}
	groupsShort = fault.Text{
		EN: "%d fanotify groups were found, and a user may have %d (/proc/sys/fs/fanotify/max_user_groups): further ones may be refused.",
		JA: "fanotify グループが %d 個見つかりました。ユーザーあたりの上限は %d 個です(/proc/sys/fs/fanotify/max_user_groups)。これ以上は拒否される可能性があります。",
	}
)

// Conflicts says in words what other users of fanotify mean for the connector, what matters first. Without others there is nothing to say.
func Conflicts(users []FanotifyUser, limits FanotifyLimits) (texts []fault.Text) {
	const groupsOfOurs = 2
	if n := uint64(len(users) + groupsOfOurs); limits.Groups > 0 && n > limits.Groups {
		texts = append(texts, groupsShort.With(n, limits.Groups))
	}
	decides := func(yes bool, text fault.Text) {
		var told []uint32
		for _, u := range users {
			if u.Decides() == yes && !slices.Contains(told, u.PID) {
				told = append(told, u.PID)
				texts = append(texts, text.With(u.PID, u.Comm))
			}
		}
	}
	decides(true, otherDecides)
	decides(false, othersListen)
	return texts
}
