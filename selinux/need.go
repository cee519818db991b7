package selinux

import (
	"strconv"
	"strings"
)

// release is the major and minor number of a kernel release.
type release struct{ major, minor int }

func (r release) before(o release) bool {
	return r.major < o.major || r.major == o.major && r.minor < o.minor
}

// needs is what the programs of this version want from the policy, and the first and last kernel that asks for it; the zero
// release is no bound. It goes by version because it only chooses the questions; the answers are the kernel's.
//
//   - bpf: since 4.15 (kernel commit ec27c3568a34); an older policy or kernel without the class answers so itself.
//   - lockdown: SELinux asked for it from 5.6 (59438b46471a) to 5.15 (removed in 5.16 by f5d0e5e9d72d). Reading kernel memory
//     from a BPF program is in the class's confidentiality half (include/linux/security.h, LOCKDOWN_BPF_READ_KERNEL); the
//     integrity half is not touched by any of our programs, so it is neither asked for nor granted.
//
// perf_event is wanted by kprobes and tracepoints only. The hook set of this version is raw tracepoints, which open no perf event.
var needs = []struct {
	need        Need
	first, last release
}{
	{need: BPFNeed},
	{need: Need{"lockdown", []string{"confidentiality"}}, first: release{5, 6}, last: release{5, 15}},
}

// WouldNeed is what our programs want from the policy on a kernel, by its release (uname -r). A release that cannot be read as a
// version gives what every kernel asks for.
func WouldNeed(kernelRelease string) []Need {
	r, known := parseRelease(kernelRelease)
	var out []Need
	for _, row := range needs {
		bounded := row.first != release{} || row.last != release{}
		if bounded && (!known || r.before(row.first) || row.last.before(r)) {
			continue
		}
		out = append(out, row.need)
	}
	return out
}

// parseRelease reads the first two numbers of a kernel release such as "5.14.0-427.el9.x86_64".
func parseRelease(s string) (release, bool) {
	major, rest, ok := strings.Cut(s, ".")
	if !ok {
		return release{}, false
	}
	end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
	if end < 0 {
		end = len(rest)
	}
	a, errA := strconv.ParseUint(major, 10, 16)
	b, errB := strconv.ParseUint(rest[:end], 10, 16)
	return release{int(a), int(b)}, errA == nil && errB == nil
}
