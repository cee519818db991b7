package monitor

import "strings"

// containerIDSize is the length of the ids that the container engines give: SHA-256 in hex.
const containerIDSize = 64

// maxContainerName bounds the names of system containers.
const maxContainerName = 128

// ContainerID finds the container in a cgroup's path: of the innermost one, "" if there is none. It knows the engines that name the cgroup
// by the container's id in 64 hex digits (Docker, containerd, CRI-O, Podman, with the systemd and the cgroupfs driver, in pods or
// not, Amazon ECS), LXC and LXD, and systemd-nspawn and libvirt's LXC by name. The monitors of containers (conmon, lxc.monitor), which
// run outside of them, and virtual machines are none.
func ContainerID(path string) string {
	found := ""
	for path != "" {
		var segment string
		segment, path, _ = strings.Cut(path, "/")
		if id := engineID(segment); id != "" {
			found = id
		} else if name, more := systemContainer(segment, path); name != "" {
			found, path = name, more
		}
	}
	return found
}

// engineID reads <id>, <engine>-<id>.scope, <engine>-<id>, <slice>:<engine>:<id> and, of ECS on Fargate, <task>-<number>.
func engineID(segment string) string {
	s := strings.TrimSuffix(segment, ".scope")
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		s = s[i+1:]
	}
	engine := ""
	if i := len(s) - containerIDSize - 1; i >= 0 && s[i] == '-' {
		engine, s = s[:i], s[i+1:]
	}
	if len(s) != containerIDSize || !isHex(s) || strings.HasSuffix(engine, "conmon") {
		return ""
	}
	return s
}

func isHex(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }) < 0
}

// systemContainers are the segments of a path before the name of a container, or with it.
var systemContainers = []struct {
	prefix, suffix string
	next           bool // the name is the next segment
}{
	{prefix: "lxc.payload", next: true},
	{prefix: "lxc.payload."},
	{prefix: "lxc", next: true},
	{prefix: "systemd-nspawn@", suffix: ".service"},
	{prefix: `machine-lxc\x2d`, suffix: ".scope"},
	{prefix: "machine-", suffix: ".scope"},
}

func systemContainer(segment, rest string) (name, more string) {
	for _, c := range systemContainers {
		switch {
		case c.next && segment == c.prefix:
			name, more, _ = strings.Cut(rest, "/")
			return clipName(name), more
		case !c.next && len(segment) > len(c.prefix)+len(c.suffix) && strings.HasPrefix(segment, c.prefix) && strings.HasSuffix(segment, c.suffix):
			name = strings.ReplaceAll(segment[len(c.prefix):len(segment)-len(c.suffix)], `\x2d`, "-")
			if strings.HasPrefix(name, "qemu-") || strings.HasPrefix(name, "libpod_pod_") {
				return "", rest
			}
			return clipName(name), rest
		}
	}
	return "", rest
}

func clipName(s string) string { return s[:min(len(s), maxContainerName)] }

// cgroup is what /proc/PID/cgroup says.
type cgroup struct {
	known     bool
	container string
	unified   bool // there is no hierarchy but the unified one, so that its id names the cgroup
}

// parseCgroup reads lines of hierarchy:controllers:path (cgroups(7)). A last line that is cut off counts for nothing.
func parseCgroup(text string) (c cgroup) {
	c.unified = true
	for {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			return c
		}
		text = rest
		hierarchy, after, ok := strings.Cut(line, ":")
		controllers, path, ok2 := strings.Cut(after, ":")
		if !ok || !ok2 {
			continue
		}
		c.known = true
		if hierarchy != "0" || controllers != "" {
			c.unified = false
		}
		if c.container == "" {
			c.container = ContainerID(path)
		}
	}
}

// maxCgroups bounds what is remembered of cgroups.
const maxCgroups = 1024

// containers remembers the containers of cgroups by their id, where the id names the cgroup.
type containers struct {
	byID   map[uint64]string
	legacy bool // there are other hierarchies too: the unified one's id says nothing
}

func (c *containers) learn(id uint64, g *cgroup) {
	if !g.unified {
		c.legacy = true
	}
	if id == 0 || c.legacy {
		return
	}
	if _, ok := c.byID[id]; !ok && len(c.byID) >= maxCgroups {
		clear(c.byID)
	}
	c.byID[id] = strings.Clone(g.container)
}

// runtimes are the names of the programs whose children are put into a container's cgroup, as their comm has them.
var runtimes = map[string]bool{
	"runc": true, "runc:[0:PARENT]": true, "runc:[1:CHILD]": true, "runc:[2:INIT]": true, "crun": true, "youki": true, "conmon": true,
	"containerd-shim": true, "dockerd": true, "podman": true, "lxc-start": true, "lxc-attach": true, "lxd": true, "systemd-nspawn": true, "libvirt_lxc": true,
}

// recontain finds the container of a process that has another cgroup, or another image. parent is its parent where e is new, ran what the
// process was called before.
func (t *Processes) recontain(e *entry, s *Sight, parent *entry, ran string) {
	p := &e.process
	if parent != nil {
		p.Container = parent.process.Container
		if parent.process.Cgroup == s.Cgroup && !t.cgroups.legacy && s.Cgroup != 0 {
			return
		}
		ran = parent.process.Comm
	}
	if s.Cgroup != 0 && !t.cgroups.legacy {
		if id, ok := t.cgroups.byID[s.Cgroup]; ok {
			p.Container = id
			return
		}
	} else if !runtimes[ran] && !runtimes[p.Parent] {
		return // where the cgroup cannot be told by a number, only these move their children
	}
	if !t.budget.take(s.Time) {
		return
	}
	if g := t.proc.cgroupOf(s.ID); g.known {
		p.Container = g.container
		t.cgroups.learn(s.Cgroup, &g)
	}
}
