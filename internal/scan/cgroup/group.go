package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Bounds that are the same for all groups.
const (
	maxTasks  = 640  // processes and threads: more than setrlimit(2) lets the user have, which does not count for root
	cpuWeight = "20" // the daemon's, which hands out the work, is 100
)

// Group is a group for one process. A nil one is none, and does nothing.
type Group struct{ dir string }

// New makes a group with so many bytes of memory at most, its share of the page cache and all swap included. A nil tree gives none.
func (t *Tree) New(memory uint64) (*Group, error) {
	if t == nil {
		return nil, nil
	}
	name := scanGroup + strconv.FormatUint(atomic.AddUint64(&t.last, 1), 10)
	g := &Group{filepath.Join(t.dir, name)}
	if err := mkdir(g.dir); err != nil {
		return nil, err
	}
	for _, set := range []struct {
		controller, attribute, value string
		needed                       bool
	}{
		{"memory", "memory.max", strconv.FormatUint(memory, 10), true},
		{"memory", "memory.swap.max", "0", false},  // not where swap is not counted; a file is not worth that the host swaps
		{"memory", "memory.oom.group", "1", false}, // all of the service, or none
		{"pids", "pids.max", strconv.Itoa(maxTasks), false},
		{"cpu", "cpu.weight", cpuWeight, false},
	} {
		if !slices.Contains(t.controllers, set.controller) {
			continue
		}
		if err := write(filepath.Join(g.dir, set.attribute), set.value); err != nil && (set.needed || !errors.Is(err, os.ErrNotExist)) {
			return nil, errors.Join(err, g.Remove())
		}
	}
	return g, nil
}

// Entrance is the file by which a process gets in: it writes "0" to it. The caller closes it. It is nil for no group.
func (g *Group) Entrance() (*os.File, error) {
	if g == nil {
		return nil, nil
	}
	return os.OpenFile(filepath.Join(g.dir, "cgroup.procs"), os.O_WRONLY, 0)
}

// KilledAt is the bound in bytes at which the kernel ended processes of the group, as an administrator may have set it since; 0 if it ended none.
func (g *Group) KilledAt() (bound uint64, err error) {
	if g == nil {
		return 0, nil
	}
	path := filepath.Join(g.dir, "memory.events")
	b, err := read(path)
	if err != nil {
		return 0, err
	}
	if n, err := parseOOM(path, b); n == 0 || err != nil {
		return 0, err
	}
	path = filepath.Join(g.dir, "memory.max")
	if b, err = read(path); err != nil {
		return 0, err
	}
	if bound, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err != nil {
		return 0, fmt.Errorf("%s: %.40q, expected a number of bytes", path, b)
	}
	return bound, nil
}

// parseOOM finds the number of processes that were killed, oom_kill, in the lines "KEY NUMBER" of memory.events. Those that the host's own want of
// memory ended count there too, so oom, how often the bound left no way out, has to have been counted as well.
func parseOOM(path string, b []byte) (killed uint64, err error) {
	counts := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		key, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %.40q, expected a number after the key", path, line)
		}
		counts[key] = n
	}
	if _, ok := counts["oom_kill"]; !ok { // Linux 4.13
		return 0, fmt.Errorf("%s: no oom_kill", path)
	}
	if counts["oom"] == 0 {
		return 0, nil
	}
	return counts["oom_kill"], nil
}

// Remove removes the group when its processes have ended.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	if err := unix.Rmdir(g.dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "rmdir", Path: g.dir, Err: err}
	}
	return nil
}
