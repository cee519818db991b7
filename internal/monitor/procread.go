package monitor

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of a process's start in proc(5): 1/USER_HZ, and that is 100 on amd64 and arm64.
const clockTick = 10 * time.Millisecond

// procReader reads what proc(5) says of processes. Of no file it reads more than its buffer holds.
type procReader struct {
	root   string
	labels bool
	boot   func() time.Duration
	opened int // processes that were looked for
	buf    [4096]byte
}

// procData is what was read of a process. Its strings are its own.
type procData struct {
	id        ProcessID // Start is rounded down to a clockTick
	ppid      uint32
	comm      string
	uid, euid uint32
	auid      uint32
	exe       File
	args      []string
	directory string
	label     string
	cgroup    cgroup
	at        time.Duration // when it was read, on the boot clock
}

// sight is what an event of the process would say of it.
func (d *procData) sight() Sight {
	return Sight{ID: d.id, Parent: ProcessID{PID: d.ppid}, UID: d.uid, EUID: d.euid, AUID: d.auid, Comm: d.comm, Time: d.at}
}

// open opens the directory of a process, and reads when it was made. From then on the descriptor stands for this process: when it has
// ended, files are not found below it, though the pid may have been given anew. Of a process that was made at another time than start,
// which may be 0 for any, or that is gone, there is none.
func (r *procReader) open(id ProcessID, d *procData) (fd int, ok bool) {
	r.opened++
	fd, err := unix.Open(r.root+"/"+strconv.FormatUint(uint64(id.PID), 10), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	ok = parseStat(r.file(fd, "stat"), d) && d.id.PID == id.PID && (id.Start == 0 || d.id.Start == id.Start.Truncate(clockTick))
	if !ok {
		unix.Close(fd)
	}
	return fd, ok
}

// read reads all of a process. What could not be read is empty; only of a process that is not there it returns false.
func (r *procReader) read(id ProcessID, d *procData) bool {
	*d = procData{uid: Unset, euid: Unset, auid: Unset, args: d.args[:0]}
	fd, ok := r.open(id, d)
	if !ok {
		return false
	}
	defer unix.Close(fd)
	d.uid, d.euid = parseStatus(r.file(fd, "status"))
	if auid, err := strconv.ParseUint(string(bytes.TrimSpace(r.file(fd, "loginuid"))), 10, 32); err == nil {
		d.auid = uint32(auid)
	}
	d.exe = r.executable(fd)
	d.directory = r.link(fd, "cwd")
	d.args = splitArgs(d.args, string(r.file(fd, "cmdline")))
	d.cgroup = parseCgroup(string(r.file(fd, "cgroup")))
	if r.labels {
		d.label = parseLabel(r.file(fd, "attr/current"))
	}
	d.at = r.boot()
	return true
}

// label reads the SELinux context of a process, "" where there is none.
func (r *procReader) label(id ProcessID) string {
	var d procData
	fd, ok := r.open(id, &d)
	if !ok {
		return ""
	}
	defer unix.Close(fd)
	return parseLabel(r.file(fd, "attr/current"))
}

// cgroupOf reads where a process is in the hierarchies of cgroups.
func (r *procReader) cgroupOf(id ProcessID) cgroup {
	var d procData
	fd, ok := r.open(id, &d)
	if !ok {
		return cgroup{}
	}
	defer unix.Close(fd)
	return parseCgroup(string(r.file(fd, "cgroup")))
}

// file is the beginning of a file, until the next call. Errors are an empty file.
func (r *procReader) file(dir int, name string) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n := 0
	for n < len(r.buf) {
		m, err := unix.Read(fd, r.buf[n:])
		if m <= 0 || err != nil {
			break
		}
		n += m
	}
	return r.buf[:n]
}

// link is where a link leads, "" where it cannot be read.
func (r *procReader) link(dir int, name string) string {
	n, err := unix.Readlinkat(dir, name, r.buf[:])
	if err != nil || n <= 0 {
		return ""
	}
	return string(r.buf[:n])
}

// executable is what the process executes. A kernel thread executes nothing.
func (r *procReader) executable(dir int) File {
	f := File{Path: r.link(dir, "exe")}
	if f.Path == "" {
		return f
	}
	f.Truncated = len(f.Path) == len(r.buf)
	var st unix.Stat_t
	if unix.Fstatat(dir, "exe", &st, 0) == nil {
		f.Device, f.Inode = uint64(st.Dev), st.Ino
		if st.Nlink == 0 { // the kernel says so in the path: d_path, fs/d_path.c
			f.Path = strings.TrimSuffix(f.Path, " (deleted)")
		}
	}
	return f
}

// parseStat reads pid, comm, ppid and start of /proc/PID/stat. The comm may hold anything, parentheses and spaces too: the last ')' ends it.
func parseStat(b []byte, d *procData) bool {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return false
	}
	pid, err := strconv.ParseUint(string(bytes.TrimSpace(b[:open])), 10, 32)
	fields := bytes.Fields(b[end+1:])
	const state, ppid, start = 3, 4, 22 // proc(5) numbers the fields from 1
	if err != nil || len(fields) <= start-state {
		return false
	}
	parent, err := strconv.ParseUint(string(fields[ppid-state]), 10, 32)
	if err != nil {
		return false
	}
	ticks, err := strconv.ParseUint(string(fields[start-state]), 10, 64)
	if err != nil || ticks > uint64(1<<63-1)/uint64(clockTick) {
		return false
	}
	d.id = ProcessID{PID: uint32(pid), Start: time.Duration(ticks) * clockTick}
	d.ppid, d.comm = uint32(parent), string(b[open+1:end])
	return true
}

// parseStatus reads the real and the effective user of /proc/PID/status, Unset where they are not there.
func parseStatus(b []byte) (uid, euid uint32) {
	const key = "\nUid:"
	_, line, ok := bytes.Cut(b, []byte(key)) // the first line is Name, which shows line ends as \n
	line, _, whole := bytes.Cut(line, []byte("\n"))
	f := bytes.Fields(line)
	if !ok || !whole || len(f) < 2 {
		return Unset, Unset
	}
	u, err := strconv.ParseUint(string(f[0]), 10, 32)
	e, err2 := strconv.ParseUint(string(f[1]), 10, 32)
	if err != nil || err2 != nil {
		return Unset, Unset
	}
	return uint32(u), uint32(e)
}

// splitArgs appends the arguments of /proc/PID/cmdline, each of which ends with a NUL. A process may have written something else over them.
func splitArgs(args []string, text string) []string {
	for text != "" && len(args) < maxProcessArgs {
		var arg string
		arg, text, _ = strings.Cut(text, "\x00")
		args = append(args, arg)
	}
	return args
}

// parseLabel reads attr/current: SELinux ends it with a NUL, AppArmor with a line end, and that one's labels are no contexts.
func parseLabel(b []byte) string {
	s := string(bytes.TrimRight(b, "\x00\n"))
	if len(s) > maxLabel || strings.Count(s, ":") < 2 || strings.ContainsAny(s, "\n\x00 ") {
		return ""
	}
	return s
}

// maxLabel bounds a context, in bytes: with many categories they get long.
const maxLabel = 1024
