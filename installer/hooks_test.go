package installer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/fault"
)

// TestHookActions has every call that dpkg (Debian Policy 6.5) and rpm make.
func TestHookActions(t *testing.T) {
	tests := []struct {
		call string
		want hookAction
	}{
		{"deb preinst install", nothing},
		{"deb preinst install 0.1.0-1 0.2.0-1", nothing},
		{"deb preinst upgrade 0.1.0-1 0.2.0-1", note},
		{"deb preinst abort-upgrade 0.2.0-1", nothing},
		{"deb postinst configure", setUp},
		{"deb postinst configure ''", setUp},
		{"deb postinst configure 0.1.0-1", setUpAgain},
		{"deb postinst abort-upgrade 0.2.0-1", resume},
		{"deb postinst abort-remove", resume},
		{"deb postinst abort-remove in-favour other 1", resume},
		{"deb postinst abort-deconfigure in-favour other 1", nothing},
		{"deb postinst abort-deconfigure in-favour other 1 removing passwd 4", nothing},
		{"deb postinst triggered /usr/lib/x", nothing},
		{"deb postinst reconfigure 0.1.0-1", nothing},
		{"deb prerm remove", halt},
		{"deb prerm remove in-favour other 1", halt},
		{"deb prerm upgrade 0.2.0-1", note},
		{"deb prerm failed-upgrade 0.1.0-1 0.2.0-1", nothing},
		{"deb prerm deconfigure in-favour other 1", nothing},
		{"deb prerm deconfigure in-favour other 1 removing passwd 4", nothing},
		{"deb postrm remove", nothing},
		{"deb postrm purge", nothing},
		{"deb postrm upgrade 0.2.0-1", nothing},
		{"deb postrm failed-upgrade 0.1.0-1 0.2.0-1", nothing},
		{"deb postrm abort-install", nothing},
		{"deb postrm abort-install 0.1.0-1 0.2.0-1", nothing},
		{"deb postrm abort-upgrade 0.1.0-1 0.2.0-1", nothing},
		{"deb postrm disappear other 1", nothing},
		{"deb postinst word-of-a-later-dpkg 1", nothing},

		// lab: as seen with rpm 4.18; reinstall and downgrade are like an upgrade
		{"rpm preinst 1", nothing},
		{"rpm preinst 2", note},
		{"rpm preinst 3", note},
		{"rpm postinst 1", setUp},
		{"rpm postinst 2", setUpOnly},
		{"rpm postinst 3", setUpOnly},
		{"rpm prerm 0", dismiss},
		{"rpm prerm 1", nothing},
		{"rpm prerm 2", nothing},
		{"rpm postrm 0", nothing},
		{"rpm postrm 1", nothing},
		{"rpm posttrans 1", restartNoted},
		{"rpm posttrans 2", restartNoted},
		{"rpm posttrans", restartNoted},
	}
	for _, tt := range tests {
		words := strings.Fields(strings.ReplaceAll(tt.call, "''", "\x00"))
		for i := range words {
			words[i] = strings.Trim(words[i], "\x00")
		}
		got, err := Call{Format: words[0], Hook: words[1], Args: words[2:]}.action()
		if got != tt.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", tt.call, got, err, tt.want)
		}
	}
}

func TestHookUsage(t *testing.T) {
	for _, c := range []Call{
		{Format: "", Hook: "postinst", Args: []string{"configure"}},
		{Format: "apk", Hook: "postinst", Args: []string{"configure"}},
		{Format: "deb", Hook: "posttrans", Args: []string{"1"}},
		{Format: "deb", Hook: "postinst", Args: nil},
		{Format: "rpm", Hook: "prerm", Args: nil},
		{Format: "rpm", Hook: "triggerin", Args: []string{"1"}},
	} {
		var out bytes.Buffer
		if err := RunHook(t.Context(), testServiceHost(t).Host, c, &out); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v, want a usage error", c, err)
		}
	}
}

// TestHookRowsReachable finds rows that an earlier one hides.
func TestHookRowsReachable(t *testing.T) {
	for i, r := range hookRows {
		for _, earlier := range hookRows[:i] {
			covers := func(a, b string) bool { return a == b || a == anyArg }
			if earlier.format == r.format && earlier.hook == r.hook && covers(earlier.first, r.first) && covers(earlier.second, r.second) {
				t.Errorf("row %d %v is hidden by %v", i, r, earlier)
			}
		}
	}
}

// TestUpgradeStories runs whole transactions, call after call, and looks at what happens to the daemon.
func TestUpgradeStories(t *testing.T) {
	const enabled, disabled = true, false
	tests := []struct {
		name            string
		enabled, active bool
		calls           []string
		want            string // what systemctl was told about the service
	}{
		{"deb install", disabled, false, []string{"deb postinst configure"}, "preset start"},
		{"deb upgrade while running", enabled, true, []string{"deb prerm upgrade 2", "deb preinst upgrade 1", "deb postinst configure 1"}, "restart"},
		{"deb upgrade while stopped", enabled, false, []string{"deb prerm upgrade 2", "deb preinst upgrade 1", "deb postinst configure 1"}, ""},
		{"deb upgrade, running and disabled", disabled, true, []string{"deb preinst upgrade 1", "deb postinst configure 1"}, "restart"},
		{"deb remove", enabled, true, []string{"deb prerm remove"}, "stop"},
		{"deb remove called off", enabled, true, []string{"deb prerm remove", "deb postinst abort-remove"}, "stop start"},
		{"deb install with configuration left", enabled, false, []string{"deb preinst install 1", "deb postinst configure 1"}, "start"},
		{"deb install with configuration left, disabled by the admin", disabled, false, []string{"deb postinst configure 1"}, ""},
		{"deb upgrade called off", enabled, true, []string{"deb prerm upgrade 2", "deb postinst abort-upgrade 2"}, ""},
		{"deb upgrade called off, stopped by the admin", enabled, false, []string{"deb prerm upgrade 2", "deb postinst abort-upgrade 2"}, ""},
		// As dpkg 1.21 does where both postrm scripts fail.
		{"deb upgrade unwound, stopped by the admin", enabled, false, []string{"deb prerm upgrade 2", "deb preinst upgrade 1 2", "deb preinst abort-upgrade 2", "deb postrm abort-upgrade 1 2", "deb postinst abort-upgrade 2"}, ""},
		{"deb upgrade while running, no note", enabled, true, []string{"deb prerm upgrade 2", "lose the-note", "deb postinst configure 1"}, "restart"},
		{"deb upgrade, running and disabled, no note", disabled, true, []string{"deb prerm upgrade 2", "lose the-note", "deb postinst configure 1"}, "restart"},
		{"deb upgrade, started meanwhile", enabled, false, []string{"deb prerm upgrade 2", "start it", "deb postinst configure 1"}, "restart"},
		{"rpm install", disabled, false, []string{"rpm preinst 1", "rpm postinst 1", "rpm posttrans 1"}, "preset start"},
		{"rpm install, then an upgrade without a note", disabled, false, []string{"rpm postinst 1", "rpm posttrans 1", "rpm postinst 2", "rpm posttrans 2"}, "preset start restart"},
		{"rpm upgrade while running, no note", enabled, true, []string{"rpm preinst 2", "lose the-note", "rpm postinst 2", "rpm prerm 1", "rpm posttrans 2"}, "restart"},
		{"rpm upgrade while stopped, no note", enabled, false, []string{"rpm preinst 2", "lose the-note", "rpm postinst 2", "rpm prerm 1", "rpm posttrans 2"}, ""},
		{"rpm upgrade while running", enabled, true, []string{"rpm preinst 2", "rpm postinst 2", "rpm prerm 1", "rpm postrm 1", "rpm posttrans 2"}, "restart"},
		{"rpm upgrade by zypper", enabled, true, []string{"rpm preinst 2", "rpm postinst 2", "rpm prerm 1", "rpm posttrans 1"}, "restart"},
		{"rpm upgrade while stopped", enabled, false, []string{"rpm preinst 2", "rpm postinst 2", "rpm prerm 1", "rpm posttrans 2"}, ""},
		{"rpm erase", enabled, true, []string{"rpm prerm 0", "rpm postrm 0"}, "disable stop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := testServiceHost(t)
			h.systemd(tt.enabled, tt.active)
			for _, call := range tt.calls {
				switch w := strings.Fields(call); w[0] {
				case "lose": // what stood in the way of the note, or /run was emptied
					mustRemove(t, filepath.Join(h.dir, noteFile))
				case "start":
					h.write("state/active", "", 0o644)
				default:
					hookServiceOnly(t, h.Host, Call{Format: w[0], Hook: w[1], Args: w[2:]})
				}
			}
			if got := h.told(); got != tt.want {
				t.Errorf("systemctl was told %q, want %q", got, tt.want)
			}
		})
	}
}

// hookServiceOnly carries out the service's part of a hook: facts of the test root's accounts and policy play no part in it.
func hookServiceOnly(t *testing.T, h *Host, c Call) {
	t.Helper()
	action, err := c.action()
	if err != nil {
		t.Fatal(err)
	}
	say := func(words fault.Text, a ...any) { t.Log(words.With(a...).EN) }
	r := hookRun{h: h, format: c.Format, say: say}
	switch action {
	case note:
		r.note(t.Context())
	case setUp:
		r.begin()
		r.run(t.Context(), Plan{Name: "install", Items: optional(serviceItems(ourFacts(), EnableAndStart, Occasion{Format: c.Format, First: true}))})
	case setUpOnly, nothing:
	case setUpAgain:
		if act := r.afterUpgrade(t.Context()); act != "" {
			r.run(t.Context(), r.service(act))
		}
	default:
		r.do(t.Context(), action)
	}
}

// TestHooksWithoutTheLock: another program may hold it for as long as a remedy takes. What an upgrade has to know is noted all the same and at once;
// where the end of an upgrade has to give up, it says that the earlier program runs on.
func TestHooksWithoutTheLock(t *testing.T) {
	h := testServiceHost(t)
	h.systemd(true, true)
	other := NewHost(h.Root, h.Log)
	lock, err := Acquire(t.Context(), other, "amp-remediate", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	for _, c := range []struct{ call, says string }{
		{"deb prerm upgrade 2", ""},
		{"deb preinst upgrade 1 2", ""},
		{"rpm preinst 2", ""},
		{"deb postinst configure 1", hookEarlier.EN},
		{"rpm posttrans 2", hookEarlier.EN},
		{"rpm postinst 1", "not set up"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), hookLockWait/3)
		w := strings.Fields(c.call)
		if c.says != "" {
			cancel() // who waits gives up
		}
		var out bytes.Buffer
		err := RunHook(ctx, h.Host, Call{Format: w[0], Hook: w[1], Args: w[2:]}, &out)
		if err != nil || ctx.Err() != nil != (c.says != "") || !strings.Contains(out.String(), c.says) || c.says == "" && out.Len() > 0 {
			t.Errorf("%s: %v, %v, said %q, want %q", c.call, err, ctx.Err(), out.String(), c.says)
		}
		cancel()
		if c.says != "" {
			continue
		}
		if n, err := takeNote(h.Host); n != ran || err != nil {
			t.Errorf("%s: noted %q, %v", c.call, n, err)
		}
	}
}

// TestRemovalWithoutTheLock: the program goes, so that its service is stopped whoever holds the lock. What that one is at is neither undone nor forgotten.
func TestRemovalWithoutTheLock(t *testing.T) {
	h := testServiceHost(t)
	h.systemd(true, true)
	h.write("opt/cisco/.keep", "", 0o644)
	other := NewHost(h.Root, h.Log)
	lock, err := Acquire(t.Context(), other, "amp-remediate", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	making := &Directory{Path: "/opt/cisco/amp", Mode: 0o755, Owner: "root", Group: "root", Made: []string{"/opt/cisco/amp"}}
	made := filepath.Join(h.dir, making.Path)
	if err := errors.Join(os.Mkdir(made, 0o755), writeJournal(other, "fault-5", 0, making, applying)); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(h.dir, JournalPath))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := hookRun{h: h.Host, format: "rpm", unlocked: true, say: func(x fault.Text, a ...any) { out.WriteString(x.With(a...).EN) }}
	r.do(t.Context(), dismiss)
	if told := h.told(); told != "disable stop" || out.Len() > 0 {
		t.Errorf("systemctl was told %q, and a person %q; want \"disable stop\" and nothing", told, out.String())
	}
	if _, err := os.Lstat(made); err != nil {
		t.Errorf("the other program's step was undone: %v", err)
	}
	if now, err := os.ReadFile(filepath.Join(h.dir, JournalPath)); !bytes.Equal(now, journal) {
		t.Errorf("the other program's journal: %s, %v", now, err)
	}
}
