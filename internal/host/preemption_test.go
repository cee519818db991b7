package host

import (
	"strings"
	"testing"
)

func TestPreemptible(t *testing.T) {
	const (
		dynamic = "CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPTION=y\nCONFIG_PREEMPT_DYNAMIC=y\n"
		config  = "boot/config-6.1.0"
		debug   = "sys/kernel/debug/sched/preempt"
		cmdline = "proc/cmdline"
	)
	for name, c := range map[string]struct {
		files tree
		value bool
		from  string
		err   string
	}{
		"voluntary":             {tree{config: "CONFIG_PREEMPT_VOLUNTARY=y\n# CONFIG_PREEMPT is not set\n"}, false, "/boot/config-6.1.0", ""},
		"full":                  {tree{config: "CONFIG_PREEMPT=y\nCONFIG_PREEMPTION=y\n"}, true, "/boot/config-6.1.0", ""},
		"before 5.4":            {tree{config: "CONFIG_PREEMPT=y\n"}, true, "/boot/config-6.1.0", ""},
		"real time":             {tree{config: "CONFIG_PREEMPT_RT=y\nCONFIG_PREEMPTION=y\n"}, true, "/boot/config-6.1.0", ""},
		"lazy":                  {tree{config: "CONFIG_PREEMPT_LAZY=y\nCONFIG_PREEMPTION=y\n"}, true, "/boot/config-6.1.0", ""},
		"mode":                  {tree{config: dynamic + "CONFIG_PREEMPT=y\n", debug: "none (voluntary) full \n"}, false, "/sys/kernel/debug/sched/preempt", ""},
		"mode, full":            {tree{config: dynamic + "CONFIG_PREEMPT_NONE=y\n", debug: "none voluntary (full) lazy\n", cmdline: "preempt=none"}, true, "/sys/kernel/debug/sched/preempt", ""},
		"mode, strange":         {tree{config: dynamic, debug: "none voluntary\n"}, false, "/sys/kernel/debug/sched/preempt", "in parentheses expected"},
		"told at boot":          {tree{config: dynamic + "CONFIG_PREEMPT_VOLUNTARY=y\n", cmdline: "quiet preempt=none preempt=full"}, true, "/proc/cmdline", ""},
		"told at boot, no":      {tree{config: dynamic + "CONFIG_PREEMPT=y\n", cmdline: "preempt=voluntary quiet"}, false, "/proc/cmdline", ""},
		"told at boot, no mode": {tree{config: dynamic + "CONFIG_PREEMPT_NONE=y\n", cmdline: "preempt=always xpreempt=full"}, false, "/boot/config-6.1.0", ""},
		"as built":              {tree{config: dynamic + "CONFIG_PREEMPT_VOLUNTARY=y\n", cmdline: "quiet"}, false, "/boot/config-6.1.0", ""},
		"as built, full":        {tree{config: dynamic + "CONFIG_PREEMPT=y\n", cmdline: "quiet"}, true, "/boot/config-6.1.0", ""},
		"as built, lazy":        {tree{config: dynamic + "CONFIG_PREEMPT_LAZY=y\n", cmdline: "quiet"}, true, "/boot/config-6.1.0", ""},
		"no command line":       {tree{config: dynamic}, false, "/proc/cmdline", "no such file"},
		"no configuration":      {tree{}, false, "/boot/config-6.1.0", "not on this host"},
	} {
		c.files["usr/lib/modules/6.1.0/kernel/"] = ""
		got := Preemptible(c.files.root(t))
		if got.Value != c.value || got.From != c.from || (got.Err == nil) != (c.err == "") || got.Err != nil && !strings.Contains(got.Err.Error(), c.err) {
			t.Errorf("%s: %+v, expected %t from %s, error %q", name, got, c.value, c.from, c.err)
		}
	}
}
