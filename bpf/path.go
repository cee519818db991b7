package bpf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// incomplete reports whether a path does not say which file it is without its process: a relative one, or the descriptor of an
// execveat(2) with AT_EMPTY_PATH.
func incomplete(path string) bool {
	return !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/dev/fd/")
}

// complete makes an incomplete path absolute with what proc(5) says of the process, if that is still the same one and still runs the
// file of that inode number; otherwise it returns path as it is. proc is "/proc".
func complete(proc, path string, pid uint32, start, inode uint64, script bool) string {
	dir := filepath.Join(proc, strconv.FormatUint(uint64(pid), 10))
	found, ok := "", false
	if script {
		found, ok = scriptPath(dir, path)
	} else {
		found, ok = programPath(dir, inode)
	}
	// The start is compared last: what was read before it was read of this process.
	if !ok || !startedAt(dir, start) {
		return strings.Clone(path)
	}
	return found
}

func programPath(dir string, inode uint64) (string, bool) {
	exe := filepath.Join(dir, "exe")
	path, err := os.Readlink(exe)
	if err != nil {
		return "", false
	}
	fi, err := os.Stat(exe)
	if err != nil {
		return "", false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Ino != inode {
		return "", false
	}
	if st.Nlink == 0 {
		path = strings.TrimSuffix(path, " (deleted)")
	}
	return path, true
}

// scriptPath takes a relative path from the process's working directory. /proc/PID/exe is the interpreter's.
func scriptPath(dir, path string) (string, bool) {
	if strings.HasPrefix(path, "/") {
		return "", false
	}
	cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
	if err != nil || !strings.HasPrefix(cwd, "/") {
		return "", false
	}
	found := filepath.Join(cwd, path)
	fi, err := os.Stat(filepath.Join(dir, "root", found))
	return found, err == nil && fi.Mode().IsRegular()
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on all architectures that we build for.
const clockTick = uint64(time.Second / 100)

func startedAt(dir string, start uint64) bool {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return false
	}
	ticks, err := startTicks(b)
	return err == nil && ticks == start/clockTick
}

// startTicks reads field 22 of /proc/PID/stat (proc(5)). Field 2 is the comm, in parentheses, and may hold anything, ")" too.
func startTicks(stat []byte) (uint64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("stat %q has no comm in parentheses", stat)
	}
	const field, afterComm = 22, 3
	fields := bytes.Fields(stat[end+1:])
	if len(fields) <= field-afterComm {
		return 0, fmt.Errorf("stat has %d fields, expected at least %d", len(fields)+afterComm-1, field)
	}
	return strconv.ParseUint(string(fields[field-afterComm]), 10, 64)
}
