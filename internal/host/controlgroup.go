package host

import (
	"fmt"
	"path"
	"strings"
)

// ControlGroup is where a process is in the unified tree of control groups, cgroups(7).
type ControlGroup struct {
	Unified bool   // there is no other tree: version 2, with its controllers
	Path    string // from the root of the tree, "/" for the root itself
}

const (
	ownGroupPath   = "/proc/self/cgroup"
	unifiedControl = "/sys/fs/cgroup/cgroup.controllers" // at this place in the unified tree alone
	maxGroupLines  = 64 << 10
)

// OwnControlGroup reads where this process is.
func OwnControlGroup(r Root) Reading[ControlGroup] {
	if !r.Live() {
		return NotKnown[ControlGroup](ownGroupPath, ErrNotRunning)
	}
	b, err := r.ReadFile(ownGroupPath, maxGroupLines)
	if err != nil {
		return NotKnown[ControlGroup](ownGroupPath, err)
	}
	g, err := ParseControlGroup(ownGroupPath, b)
	if err != nil {
		return NotKnown[ControlGroup](ownGroupPath, err)
	}
	if g.Unified, err = r.exists(unifiedControl); err != nil {
		return NotKnown[ControlGroup](unifiedControl, err)
	}
	return Read(g, ownGroupPath)
}

// ParseControlGroup reads the lines of /proc/PID/cgroup, of which that of the unified tree has the number 0 and no controllers. A kernel without
// that tree has no such line; then Path is "".
func ParseControlGroup(name string, b []byte) (g ControlGroup, err error) {
	for line := range strings.Lines(string(b)) {
		where, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok {
			continue
		}
		if where = strings.TrimSuffix(where, " (deleted)"); !path.IsAbs(where) || path.Clean(where) != where {
			return ControlGroup{}, fmt.Errorf("open %s: the path %.80q, expected one from the root: %w", name, where, ErrMalformed)
		}
		g.Path = where
	}
	return g, nil
}
