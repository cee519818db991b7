package degraded

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountsMost bounds the mounts that are looked at.
const mountsMost = 16384

// mount is a line of /proc/PID/mountinfo, proc_pid_mountinfo(5).
type mount struct {
	id     int
	device uint64 // as st_dev has it; of btrfs the file system's, which its files do not have
	root   string // what of the file system is mounted
	point  string // where
	kind   string // of file system
}

// parseMountinfo reads the lines. Those that cannot be read are told by the error, beside those that can. A last line that is cut off
// counts for nothing.
func parseMountinfo(text string) (mounts []mount, err error) {
	for n := 1; len(mounts) < mountsMost; n++ {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			return mounts, err
		}
		text = rest
		m, ok := parseMount(line)
		if ok {
			mounts = append(mounts, m)
		} else if err == nil {
			err = fmt.Errorf("mountinfo: line %d: %.80q, expected a mount", n, line)
		}
	}
	return mounts, fmt.Errorf("mountinfo: more than %d mounts", mountsMost)
}

// parseMount reads: id parent major:minor root point options optional… - kind source options.
func parseMount(line string) (m mount, ok bool) {
	before, after, ok := strings.Cut(line, " - ")
	f := strings.Fields(before)
	if !ok || len(f) < 6 {
		return m, false
	}
	major, minor, ok := strings.Cut(f[2], ":")
	id, err := strconv.Atoi(f[0])
	a, err2 := strconv.ParseUint(major, 10, 32)
	b, err3 := strconv.ParseUint(minor, 10, 32)
	kind, _, ok2 := strings.Cut(after, " ")
	if !ok || !ok2 || kind == "" || err != nil || err2 != nil || err3 != nil {
		return m, false
	}
	m = mount{id: id, device: unix.Mkdev(uint32(a), uint32(b)), root: unescape(f[3]), point: unescape(f[4]), kind: kind}
	return m, strings.HasPrefix(m.point, "/")
}

// unescape undoes what the kernel does to space, tab, newline and backslash: three octal digits.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
