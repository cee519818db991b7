package queue

import (
	"os"
	"slices"
	"strings"
)

// Ignored says whose files are not scanned: neither when an event tells of them, nor on demand. The daemon's own log and the scan
// service's unpacked archives would otherwise lead to scans that lead to further ones.
type Ignored struct {
	Paths []string // a directory with a slash at its end and all below it, or one file; /proc/ and /sys/ always
	PIDs  []uint32 // of processes whose events are passed over: the scan service's; the daemon's own always
}

// ignored is the same, made for asking.
type ignored struct {
	prefixes []string // sorted; none is the beginning of another
	files    map[string]struct{}
	pids     []uint32
}

// Ignore sets what is ignored from now on.
func (q *Queue) Ignore(i Ignored) { q.ignored.Store(newIgnored(i)) }

func newIgnored(i Ignored) *ignored {
	g := &ignored{files: make(map[string]struct{}), pids: append(slices.Clone(i.PIDs), uint32(os.Getpid()))}
	all := append(slices.Clone(i.Paths), "/proc/", "/sys/")
	slices.Sort(all)
	for _, p := range all {
		last := len(g.prefixes) - 1
		switch {
		case !strings.HasSuffix(p, "/"):
			g.files[p] = struct{}{}
		case last < 0 || !strings.HasPrefix(p, g.prefixes[last]):
			g.prefixes = append(g.prefixes, p)
		}
	}
	return g
}

// path reports whether a path is ignored. Since no prefix begins another, only the greatest that is not greater than the path can fit.
func (g *ignored) path(path string) bool {
	i, found := slices.BinarySearch(g.prefixes, path)
	if found || i > 0 && strings.HasPrefix(path, g.prefixes[i-1]) {
		return true
	}
	if len(g.files) == 0 {
		return false
	}
	_, found = g.files[path]
	return found
}

func (g *ignored) pid(pid uint32) bool { return slices.Contains(g.pids, pid) }
