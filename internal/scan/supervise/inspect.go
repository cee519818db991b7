package supervise

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/scan"
)

// subject is what a service really runs as, by proc_pid_status(5).
type subject struct {
	known    bool
	uid, gid uint32 // the most powerful of the real, effective, saved and file system ones
	user     string
	groups   []uint32 // further ones than gid
	capable  bool     // it has capabilities, or could gain some by executing a file
	filtered bool     // every system call goes through a filter
	limit    uint64   // bytes of data, 0 if none
}

// inspect reads what a process runs as.
func (s *Supervisor) inspect(pid int) (subject, error) {
	dir := filepath.Join(s.Proc, strconv.Itoa(pid))
	b, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return subject{}, err
	}
	sub, err := parseStatus(b)
	if err != nil {
		return subject{}, fmt.Errorf("%s/status: %w", dir, err)
	}
	sub.user = s.UserName(sub.uid)
	if b, err = os.ReadFile(filepath.Join(dir, "limits")); err != nil {
		return subject{}, err
	}
	sub.limit, err = parseDataLimit(b)
	if err != nil {
		return subject{}, fmt.Errorf("%s/limits: %w", dir, err)
	}
	sub.known = true
	return sub, nil
}

// parseStatus reads the lines of proc_pid_status(5) that say what a process may do.
func parseStatus(b []byte) (sub subject, err error) {
	fields := make(map[string]string)
	for line := range bytes.Lines(b) {
		if name, value, ok := strings.Cut(string(line), ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	uids, err := ids(fields, "Uid", 4)
	if err != nil {
		return subject{}, err
	}
	gids, err := ids(fields, "Gid", 4)
	if err != nil {
		return subject{}, err
	}
	groups, err := ids(fields, "Groups", 0)
	if err != nil {
		return subject{}, err
	}
	sub.uid, sub.gid = strongest(uids), strongest(gids)
	for _, g := range append(gids, groups...) {
		if g != sub.gid && !slices.Contains(sub.groups, g) {
			sub.groups = append(sub.groups, g)
		}
	}
	sub.capable = fields["NoNewPrivs"] != "1" // before 4.10 that is not told, and could not be vouched for
	for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
		mask, told := fields[set]
		if !told && set == "CapAmb" {
			continue // before 4.3
		}
		n, err := strconv.ParseUint(mask, 16, 64)
		if err != nil {
			return subject{}, fmt.Errorf("%s is %q, expected a mask in hex", set, mask)
		}
		sub.capable = sub.capable || n != 0
	}
	sub.filtered = fields["Seccomp"] == "2"
	return sub, nil
}

func ids(fields map[string]string, name string, want int) ([]uint32, error) {
	texts := strings.Fields(fields[name])
	if want != 0 && len(texts) != want {
		return nil, fmt.Errorf("%s is %q, expected %d numbers", name, fields[name], want)
	}
	numbers := make([]uint32, len(texts))
	for i, text := range texts {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s is %q, expected numbers", name, fields[name])
		}
		numbers[i] = uint32(n)
	}
	return numbers, nil
}

// strongest is 0 if that is one of the ids, else the effective one, unless another one differs from it.
func strongest(ids []uint32) uint32 {
	if slices.Contains(ids, 0) {
		return 0
	}
	for _, id := range ids {
		if id != ids[1] {
			return id
		}
	}
	return ids[1]
}

// parseDataLimit reads the soft limit of "Max data size" of proc_pid_limits(5); unlimited is 0.
func parseDataLimit(b []byte) (uint64, error) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "Max data size")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0, fmt.Errorf("line %q has no value", lines.Text())
		}
		if fields[0] == "unlimited" {
			return 0, nil
		}
		return strconv.ParseUint(fields[0], 10, 64)
	}
	return 0, fmt.Errorf("there is no line %q", "Max data size")
}

// userName is a name for people, or the number where there is none.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// resident is a process's memory in bytes, by proc_pid_statm(5); 0 where it cannot be read.
func (s *Supervisor) resident(pid int) uint64 {
	b, err := os.ReadFile(filepath.Join(s.Proc, strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// sandboxNames are the parts of a sandbox as the status has them.
var sandboxNames = []struct {
	part scan.Sandbox
	name string
}{
	{scan.SandboxUser, "user"}, {scan.SandboxCapabilities, "capabilities"}, {scan.SandboxMounts, "mounts"},
	{scan.SandboxPaths, "paths"}, {scan.SandboxNetwork, "network"}, {scan.SandboxSystemCalls, "system-calls"}, {scan.SandboxMemory, "memory"},
}

// sandbox names what a service says that keeps it from doing harm, without what /proc does not bear out.
func (i *instance) sandbox() []string {
	is := i.report.Sandbox
	if i.subject.known {
		for _, no := range []struct {
			is   bool
			part scan.Sandbox
		}{
			{i.subject.uid == 0, scan.SandboxUser}, {i.subject.capable, scan.SandboxCapabilities}, {!i.subject.filtered, scan.SandboxSystemCalls},
		} {
			if no.is {
				is &^= no.part
			}
		}
	}
	var names []string
	for _, s := range sandboxNames {
		if is&s.part != 0 {
			names = append(names, s.name)
		}
	}
	return names
}
