// Package bench measures what monitors cost a host, in a guest whose clock counts instructions. What enters is what run.sh printed in
// the guest, one monitor a boot; what leaves is a Result: JSON for a baseline, Markdown for people.
package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Guest is the row of the matrix in which it is measured.
const Guest = "debian12-bench"

// Rounds is how often each workload is measured, after one round to warm up.
const Rounds = 3

// Own is the monitor that is compared with the baseline. Those named OWN-SOURCE are the same by another source of events.
const Own = "amp"

// own reports whether a monitor is this connector, by whatever source.
func own(monitor string) bool { return monitor == Own || strings.HasPrefix(monitor, Own+"-") }

// Bare is the monitor that is none.
const Bare = "bare"

// None is the coverage of a host without a monitor.
const None = "none"

// Monitor is one that is measured; vagrant/bench/monitors/NAME.sh starts and stops it.
type Monitor struct {
	Name  string
	Title map[string]string // by coverage
}

// Monitors are in the order in which they are measured.
var Monitors = []Monitor{
	{Bare, nil},
	{Own, map[string]string{"exec": "**amp-connector**, exec", "file": "**amp-connector**, file changes", "network": "**amp-connector**, flows", "all": "**amp-connector**, every event"}},
	{"amp-kprobe", map[string]string{"all": "**amp-connector**, no BTF: probes"}},
	{"amp-modules", map[string]string{"all": "**amp-connector**, kernel modules"}},
	{"amp-degraded", map[string]string{"all": "**amp-connector**, degraded"}},
	{"auditd", map[string]string{"exec": "auditd + laurel, exec", "file": "auditd + laurel, file changes", "network": "auditd + laurel, connect and accept", "all": "auditd + laurel, all three"}},
	{"bcc", map[string]string{"exec": "execsnoop", "file": "opensnoop", "network": "tcpconnect", "all": "execsnoop + opensnoop + tcpconnect"}},
	{"bpftrace", map[string]string{"exec": "bpftrace one-liner (pid, comm, path)"}},
	{"fatrace", map[string]string{"file": "fatrace"}},
	{"sysdig", map[string]string{"exec": "sysdig, exec", "file": "sysdig, file changes", "network": "sysdig, connect and accept", "all": "sysdig, all three"}},
}

// MonitorNamed returns the monitor of that name.
func MonitorNamed(name string) (Monitor, bool) {
	i := slices.IndexFunc(Monitors, func(m Monitor) bool { return m.Name == name })
	if i < 0 {
		return Monitor{}, false
	}
	return Monitors[i], true
}

// Workload is a load that makes Count operations.
type Workload struct {
	Name      string
	Operation string
	Count     int
	Makes     []string // kinds of events of one operation
}

// Workloads are in the order in which they run.
var Workloads = []Workload{
	{"exec", "vfork + exec of /bin/true", 1000, []string{"exec"}},
	{"open", "open + close of one file", 5000, []string{"open"}},
	{"files", "file created, written, renamed, deleted", 800, []string{"create", "write", "rename", "delete"}},
	{"connect", "TCP connection over loopback", 800, []string{"connect"}},
	{"compile", "make of five C files", 1, nil},
	{"mixed", "exec + file + connection", 200, []string{"exec", "create", "write", "rename", "delete", "connect"}},
}

// Coverage is a set of events that monitors are asked for, and the workloads that it is measured with.
type Coverage struct {
	Name      string
	Workloads []string
}

// everything is every workload's name.
var everything = []string{"exec", "open", "files", "connect", "compile", "mixed"}

// Coverages have the bare host's first.
var Coverages = []Coverage{
	{None, everything},
	{"exec", []string{"exec"}},
	{"file", []string{"open", "files"}},
	{"network", []string{"connect"}},
	{"all", everything},
}

// workload returns the workload of that name.
func workload(name string) (Workload, bool) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, false
	}
	return Workloads[i], true
}

// coverage returns the coverage of that name.
func coverage(name string) (Coverage, bool) {
	i := slices.IndexFunc(Coverages, func(c Coverage) bool { return c.Name == name })
	if i < 0 {
		return Coverage{}, false
	}
	return Coverages[i], true
}

// produced is how many events of a kind the workloads of a coverage make, the round to warm up included.
func produced(c Coverage, kind string) int {
	n := 0
	for _, w := range Workloads {
		if slices.Contains(c.Workloads, w.Name) && slices.Contains(w.Makes, kind) {
			n += w.Count * (Rounds + 1)
		}
	}
	return n
}

// Sizes is the shell text that tells run.sh what to measure.
func Sizes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rounds=%d\ndeclare -A count_of=(", Rounds)
	for _, w := range Workloads {
		fmt.Fprintf(&b, " [%s]=%d", w.Name, w.Count)
	}
	b.WriteString(" )\ndeclare -A workloads_of=(")
	for _, c := range Coverages {
		fmt.Fprintf(&b, " [%s]='%s'", c.Name, strings.Join(c.Workloads, " "))
	}
	b.WriteString(" )\n")
	return b.String()
}
