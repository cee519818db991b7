package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of landlock(7) on what is only read, on programs and libraries, and on the scratch directory. Those that were added to it later
// are not named: what is not handled is not restricted, and a kernel of 5.13 knows these.
const (
	readRights    = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	executeRights = readRights | unix.LANDLOCK_ACCESS_FS_EXECUTE
	scratchRights = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG
	handledRights = executeRights | scratchRights | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
)

// restrictPaths lets the process, from now on, reach the files that mounts would have shown it.
func restrictPaths(v view) error {
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&unix.LandlockRulesetAttr{Handled_access_fs: handledRights})), unsafe.Sizeof(uint64(0)), 0)
	if errno != 0 {
		return fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	allowed := map[string]uint64{v.service: executeRights, v.definitions: readRights, v.scratch: scratchRights, "/dev/null": fileRights, "/dev/urandom": readRights}
	for _, path := range libraries {
		allowed[path] = executeRights
	}
	for _, path := range files {
		allowed[path] = readRights
	}
	for path, rights := range allowed {
		if err := allow(int(ruleset), path, rights); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("landlock_restrict_self: %w", errno)
	}
	return nil
}

// allow adds a rule for what is at and below a path.
func allow(ruleset int, path string, rights uint64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		rights &= fileRights // those of directories are an error there
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)})), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock_add_rule %s: %w", path, errno)
	}
	return nil
}

// scratchPrefix begins the names of scratch directories that are not mounts; the number of the process follows.
const scratchPrefix = "ampscansvc-"

// temporary are directories in which all users may make theirs; the last is writable also where a unit makes all else read-only
// (ProtectSystem=strict).
var temporary = []string{"/tmp", "/var/tmp", "/dev/shm"}

// ownScratch makes a scratch directory of the user's, and removes those that processes of this user have left behind: nobody else could,
// since the daemon, which has no right to overrule permissions, may not look into them.
func ownScratch() (dir string, err error) {
	for _, parent := range temporary {
		removeLeft(parent)
		dir = filepath.Join(parent, scratchPrefix+strconv.Itoa(os.Getpid()))
		mkdirErr := os.Mkdir(dir, 0o700)
		if mkdirErr == nil {
			return dir, nil
		}
		err = errors.Join(err, mkdirErr)
	}
	return "", err
}

// removeLeft removes the scratch directories of processes that are no more. Those of other users stay: this is done as the user.
func removeLeft(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, scratchPrefix+"*")) // fails on bad patterns alone
	for _, dir := range left {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), scratchPrefix))
		if err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			os.RemoveAll(dir)
		}
	}
}
