package bpf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// kernelDevice is a device number as the kernel has it inside (MKDEV of include/linux/kdev_t.h): 12 bits of major, 20 of minor.
func kernelDevice(major, minor uint32) uint32 { return major<<20 | minor }

// statDevice turns it into what stat(2) gives as st_dev.
func statDevice(d uint32) uint64 { return unix.Mkdev(d>>20, d&(1<<20-1)) }

// executableAt finds the identity of the file at path. The device is the one of its file system, from the mount table: btrfs, for one, gives
// stat(2) another, by subvolume.
func executableAt(path string) (executable, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_MNT_ID, &st); err != nil {
		return executable{}, &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	e := executable{Inode: st.Ino, Device: kernelDevice(st.Dev_major, st.Dev_minor)}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return e, nil // before 5.8
	}
	device, ok, err := deviceOfMount("/proc/self/mountinfo", st.Mnt_id)
	if ok {
		e.Device = device
	}
	return e, err
}

// deviceOfMount reads field 3 of the line of a mount, proc_pid_mountinfo(5).
func deviceOfMount(path string, id uint64) (device uint32, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) < 3 {
			return 0, false, fmt.Errorf("%s: line %q has %d fields, expected at least 3", path, lines.Text(), len(fields))
		}
		if n, err := strconv.ParseUint(string(fields[0]), 10, 64); err != nil || n != id {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(string(fields[2]), "%d:%d", &major, &minor); err != nil {
			return 0, false, fmt.Errorf("%s: device %q, expected major:minor", path, fields[2])
		}
		return kernelDevice(major, minor), true, nil
	}
	return 0, false, lines.Err()
}

// heirsOf finds the running processes that descend from one that executes an executable which is excluded with its children. Processes
// that are made meanwhile are told by the program on sched_process_fork, which is attached before.
func heirsOf(proc string, executables map[executable]uint32) (map[uint32]uint32, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	parents := map[uint32]uint32{}
	heads := map[uint32]bool{}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		parent, err := parentOf(dir)
		if err != nil {
			continue // it ended
		}
		parents[uint32(pid)] = parent
		if exe, err := executableAt(filepath.Join(dir, "exe")); err == nil && executables[exe]&withChildren != 0 {
			heads[uint32(pid)] = true
		}
	}
	found := map[uint32]uint32{}
	for pid := range parents {
		at := parents[pid]
		for range len(parents) { // pids may be reused while they are read: no circle
			if heads[at] {
				found[pid] = 1
				break
			}
			next, ok := parents[at]
			if !ok {
				break
			}
			at = next
		}
	}
	return found, nil
}

// parentOf reads field 4 of /proc/PID/stat, proc_pid_stat(5). Field 2 is the comm, in parentheses, and may hold anything, ")" too.
func parentOf(dir string) (uint32, error) {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, err
	}
	return parentField(b)
}

func parentField(stat []byte) (uint32, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, errors.New("stat has no field 4")
	}
	n, err := strconv.ParseUint(string(fields[1]), 10, 32)
	return uint32(n), err
}
