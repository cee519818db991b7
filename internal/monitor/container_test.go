package monitor

import (
	"strings"
	"testing"
	"time"
)

// Paths as the engines name cgroups, with the same made-up ids.
func TestContainerID(t *testing.T) {
	const other = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	for path, want := range map[string]string{
		"":            "",
		"/":           "",
		"/init.scope": "",
		"/user.slice/user-1000.slice/session-3.scope":               "",
		"/system.slice/docker.service":                              "",
		"/docker/" + containerID:                                    containerID,
		"/system.slice/docker-" + containerID + ".scope":            containerID,
		"/system.slice/docker-" + containerID + ".scope/init.scope": containerID,
		"/docker/" + other + "/docker/" + containerID:               containerID, // an engine in a container
		"/docker/" + containerID + "/system.slice/cron.service":     containerID,
		"/docker/buildx/docker/" + containerID:                      containerID,
		"/../../docker-" + containerID + ".scope":                   containerID, // seen from a cgroup namespace
		"/actions_job/" + containerID:                               containerID,
		"/ecs/4711deadbeef/" + containerID:                          containerID,
		"/kubepods/besteffort/pod0f7e1fb5-ab8d-11ea/" + containerID: containerID,
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0f7e1fb5_ab8d.slice/cri-containerd-" + containerID + ".scope": containerID,
		"/kubepods.slice/kubepods-pod0f7e.slice/crio-" + containerID + ".scope":                                                         containerID,
		"/kubepods.slice/kubepods-pod0f7e.slice/crio-" + containerID + ".scope/container":                                               containerID,
		"/kubepods.slice/kubepods-pod0f7e.slice/crio-conmon-" + containerID + ".scope":                                                  "",
		"/system.slice/containerd.service/kubepods-burstable-pod0f7e.slice:cri-containerd:" + containerID:                               containerID,
		"/machine.slice/libpod-" + containerID + ".scope":                                                                               containerID,
		"/machine.slice/libpod-" + containerID + ".scope/container":                                                                     containerID,
		"/machine.slice/libpod-conmon-" + containerID + ".scope":                                                                        "",
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + containerID + ".scope/container":                           containerID,
		"/machine.slice/machine-libpod_pod_" + other + ".slice/libpod-" + containerID + ".scope":                                        containerID,
		"/machine.slice/machine-libpod_pod_" + other + ".slice/libpod-conmon-" + containerID + ".scope":                                 "",
		"/libpod_parent/libpod-" + containerID:                                                                                          containerID,
		"/lxc/web1":                                                                                                                     "web1",
		"/lxc/web1/system.slice/nginx.service":                                                                                          "web1",
		"/lxc.payload/web1":                                                                                                             "web1",
		"/lxc.payload.web1/init.scope":                                                                                                  "web1",
		"/lxc.monitor.web1":                                                                                                             "",
		"/lxc.monitor/web1":                                                                                                             "",
		"/lxc.payload.host1/docker/" + containerID:                                                                                      containerID,
		"/machine.slice/systemd-nspawn@web1.service/payload":                                                                            "web1",
		"/machine.slice/machine-web1.scope":                                                                                             "web1",
		`/machine.slice/machine-my\x2dweb.scope/payload`:                                                                                "my-web",
		`/machine.slice/machine-lxc\x2d1234\x2dweb.scope`:                                                                               "1234-web",
		`/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator`:                                                                 "", // a virtual machine is none
		"/docker/" + strings.ToUpper(containerID):                                                                                       "",
		"/docker/" + containerID[1:]:                                                                                                    "",
		"/docker/" + containerID + "0":                                                                                                  "",
		"/lxc/" + strings.Repeat("x", 1000):                                                                                             strings.Repeat("x", maxContainerName),
	} {
		if got := ContainerID(path); got != want {
			t.Errorf("%s: %q, expected %q", path, got, want)
		}
	}
}

func TestParseCgroup(t *testing.T) {
	for text, want := range map[string]cgroup{
		"":                                 {unified: true},
		"0::/init.scope\n":                 {known: true, unified: true},
		"0::/init.scope":                   {unified: true}, // cut off
		"garbage\n\n0::/\n":                {known: true, unified: true},
		"0::/docker/" + containerID + "\n": {known: true, unified: true, container: containerID},
		"12:pids:/docker/" + containerID + "\n1:name=systemd:/docker/" + containerID + "\n0::/system.slice/containerd.service\n": {known: true, container: containerID},
		"4:memory:/user.slice\n3:cpu,cpuacct:/a:b\n": {known: true},
	} {
		if got := parseCgroup(text); got != want {
			t.Errorf("%q: %+v, expected %+v", text, got, want)
		}
	}
}

func TestContainersAreBounded(t *testing.T) {
	c := containers{byID: map[uint64]string{}}
	for id := range uint64(10 * maxCgroups) {
		c.learn(id+1, &cgroup{known: true, unified: true, container: "x"})
		if len(c.byID) > maxCgroups {
			t.Fatalf("%d are remembered", len(c.byID))
		}
	}
}

func TestParseStat(t *testing.T) {
	const tail = " S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 2000 1 2 3\n"
	for text, want := range map[string]procData{
		"42 (sh)" + tail:        {id: ProcessID{42, 20 * time.Second}, ppid: 7, comm: "sh"},
		"42 (a) S 9 (b)" + tail: {id: ProcessID{42, 20 * time.Second}, ppid: 7, comm: "a) S 9 (b"},
		"42 (a\nb c)" + tail:    {id: ProcessID{42, 20 * time.Second}, ppid: 7, comm: "a\nb c"},
		"42 ()" + tail:          {id: ProcessID{42, 20 * time.Second}, ppid: 7},
	} {
		var d procData
		if !parseStat([]byte(text), &d) || d.id != want.id || d.ppid != want.ppid || d.comm != want.comm {
			t.Errorf("%q: %+v, expected %+v", text, d, want)
		}
	}
	for _, text := range []string{"", "42", "42 (sh", ")(", "x (sh)" + tail, "42 (sh) S 7 1 1", "42 (sh) S -7" + tail[4:], "42 (sh)" + tail[:len(tail)-11] + "99999999999999999999 1 2"} {
		if parseStat([]byte(text), new(procData)) {
			t.Errorf("%q was read", text)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for text, want := range map[string][2]uint32{
		"Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t5\n": {1000, 0},
		"Name:\tUid:\t1\t1\nUid:\t7\t8\t0\t0\n":    {7, 8},
		"Name:\tx\nUid:\t1000":                     {Unset, Unset}, // cut off
		"Name:\tx\nUid:\tx\t1\n":                   {Unset, Unset},
		"":                                         {Unset, Unset},
	} {
		if uid, euid := parseStatus([]byte(text)); uid != want[0] || euid != want[1] {
			t.Errorf("%q: %d and %d, expected %v", text, uid, euid, want)
		}
	}
}

func TestParseLabel(t *testing.T) {
	for text, want := range map[string]string{
		"system_u:system_r:sshd_t:s0-s0:c0.c1023\x00": "system_u:system_r:sshd_t:s0-s0:c0.c1023",
		"u:r:t\n":                          "u:r:t",
		"unconfined\n":                     "",
		"/usr/sbin/ntpd (enforce)\n":       "",
		"":                                 "",
		"a:b:c\x00d":                       "",
		"a:b:" + strings.Repeat("c", 2000): "",
	} {
		if got := parseLabel([]byte(text)); got != want {
			t.Errorf("%q: %q, expected %q", text, got, want)
		}
	}
}

func FuzzProc(f *testing.F) {
	f.Add("42 (sh) S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 2000 1 2 3")
	f.Add("Name:\tx\nUid:\t1000\t0\t0\t0\n")
	f.Add("12:pids:/docker/" + containerID + "\n0::/lxc/web\n")
	f.Add("a\x00b\x00\x00")
	f.Add("u:r:t:s0\x00")
	f.Fuzz(func(t *testing.T, text string) {
		var d procData
		if parseStat([]byte(text), &d) && d.id.Start < 0 {
			t.Errorf("start %v", d.id.Start)
		}
		parseStatus([]byte(text))
		if c := parseCgroup(text); len(c.container) > maxContainerName || c.container != "" && !c.known {
			t.Errorf("%+v", c)
		}
		if args := splitArgs(nil, text); len(args) > maxProcessArgs {
			t.Errorf("%d arguments", len(args))
		}
		if l := parseLabel([]byte(text)); len(l) > maxLabel {
			t.Errorf("label of %d bytes", len(l))
		}
	})
}

func TestBudget(t *testing.T) {
	b := budget{rate: 10, burst: 3}
	taken := func(now time.Duration) (n int) {
		for b.take(now) {
			n++
		}
		return n
	}
	for _, step := range []struct {
		at   time.Duration
		want int
	}{{time.Hour, 3}, {time.Hour, 0}, {time.Hour + 99*time.Millisecond, 0}, {time.Hour + 100*time.Millisecond, 1}, {time.Minute, 0}, {time.Hour + 200*time.Millisecond, 1}, {2 * time.Hour, 3}} {
		if got := taken(step.at); got != step.want {
			t.Errorf("%d were taken at %v, expected %d", got, step.at, step.want)
		}
	}
}
