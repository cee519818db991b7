package remediate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/selinux"
)

func yes(t *Tool) { t.Yes, t.Terminal = true, false }

func TestRemedy(t *testing.T) {
	for _, c := range []struct {
		name    string
		world   func() *world
		call    call
		code    int
		applied int
		out     []string // in stdout
		errs    []string // in stderr
	}{
		{name: "sound", world: soundWorld, call: call{args: []string{"5", "19"}}, code: ExitGone, out: []string{"Fault 5 is not there", "Fault 19 is not there", "Nothing was changed."}},
		{name: "mended", world: withShell, call: call{args: []string{"5"}, adapt: yes}, code: ExitGone, applied: 1,
			out: []string{"login shell of cisco-amp-scan-svc: /bin/bash", "1. take the login shell away", "# usermod", "packages: shadow-utils", "[1/1] take the login shell away: done", "Fault 5 is gone: "}},
		{name: "asked, yes", world: withShell, call: call{args: []string{"5"}, in: "y\n"}, code: ExitGone, applied: 1, errs: []string{"Proceed? [y/N]"}},
		{name: "asked, no", world: withShell, call: call{args: []string{"5"}, in: "n\n"}, code: ExitThere, out: []string{"Nothing was changed"}},
		{name: "asked, just enter", world: withShell, call: call{args: []string{"5"}, in: "\n"}, code: ExitThere},
		{name: "asked, end of input", world: withShell, call: call{args: []string{"5"}}, code: ExitThere},
		{name: "no terminal", world: withShell, call: call{args: []string{"5"}, in: "y\n", adapt: func(t *Tool) { t.Terminal = false }}, code: ExitUsage, out: []string{"--yes"}},
		{name: "dry run", world: withShell, call: call{args: []string{"5"}, adapt: func(t *Tool) { t.DryRun = true }}, code: ExitThere, out: []string{"1. take the login shell away", "dry run"}},
		{name: "not root", world: withShell, call: call{args: []string{"5"}, adapt: func(t *Tool) { t.Privileged, t.Yes = false, true }}, code: ExitRoot, out: []string{"Changes need root"}},
		{name: "not root, and sound", world: soundWorld, call: call{args: []string{"5"}, adapt: func(t *Tool) { t.Privileged = false }}, code: ExitGone},
		{name: "not root, not known", world: func() *world {
			w := soundWorld()
			w.facts.Host.Account.Password = host.NotKnown[host.Password]("/etc/shadow", errors.New("permission denied"))
			return w
		}, call: call{args: []string{"5"}, adapt: func(t *Tool) { t.Privileged = false }}, code: ExitRoot, out: []string{"needs root to be judged"}},
		{name: "root, not known", world: func() *world {
			w := soundWorld()
			w.facts.Host.Account.Password = host.NotKnown[host.Password]("/etc/shadow", errors.New("line 3: NUL"))
			return w
		}, call: call{args: []string{"5"}}, code: ExitThere, out: []string{"not known to be gone", "line 3: NUL"}},
		{name: "all of a sound host", world: soundWorld, call: call{args: []string{"all"}, adapt: yes}, code: ExitGone, out: []string{"Fault 7 is not there: the scan service is running"}},
		{name: "all", world: withShell, call: call{args: []string{"all"}, adapt: yes}, code: ExitGone, applied: 1, out: []string{"Fault 5 is gone"}},
		{name: "a step fails", world: func() *world {
			w := withShell()
			w.items = []installer.Item{w.step("take the login shell away", func() error { return errDisk }), w.step("never tried", nil)}
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitThere, applied: 1, out: []string{"failed", "Fault 5 is still there: cisco-amp-scan-svc has a login shell"}, errs: []string{"no space left"}},
		{name: "done, and still there", world: func() *world {
			w := withShell()
			w.items = []installer.Item{w.step("do something else", func() error { return nil })}
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitThere, applied: 1, out: []string{"Fault 5 is still there: cisco-amp-scan-svc has a login shell"}},
		{name: "a person is left", world: func() *world {
			w := withShell()
			w.items = []installer.Item{w.step("do what a program can", func() error { return nil }), {Manual: fault.Verbatim("Reboot the host.")}}
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitPerson, applied: 1, out: []string{"By hand:\n    Reboot the host.", "waits for a person"}},
		{name: "a person alone", world: func() *world {
			w := withShell()
			w.items = []installer.Item{{Manual: fault.Verbatim("Buy memory.")}}
			return w
		}, call: call{args: []string{"5"}}, code: ExitPerson, out: []string{"Buy memory."}},
		{name: "no step is known", world: func() *world {
			w := withShell()
			w.items = nil
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitThere, out: []string{"no step is known"}},
		{name: "locked", world: func() *world {
			w := withShell()
			w.locked = true
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitThere, out: []string{"Another program is changing this host"}, errs: []string{"another program is changing this host"}},
		{name: "an interrupted run had mended it half", world: func() *world {
			w := withShell()
			w.left = []string{"set USERGROUPS_ENAB to yes"}
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitGone, applied: 1, out: []string{"taken back: set USERGROUPS_ENAB"}},
		{name: "taking an interrupted run back was all", world: func() *world {
			w := withShell()
			w.left = []string{"try a login shell"}
			w.onUndo = func() { w.facts.Host.Account.User.Value.Shell = "/sbin/nologin" }
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitGone, out: []string{"taken back", "Fault 5 is not there"}},
		{name: "the connector does not answer", world: func() *world {
			w := withShell()
			w.askErr = context.DeadlineExceeded
			return w
		}, call: call{args: []string{"5"}, adapt: yes}, code: ExitGone, applied: 1, errs: []string{"ask the connector to evaluate"}},
		{name: "another kernel", world: withShell, call: call{args: []string{"5"}, adapt: func(t *Tool) { t.Kernel, t.Yes = "6.1.0", true }}, code: ExitUsage, errs: []string{"--kernel"}},
		{name: "Japanese", world: withShell, call: call{args: []string{"5"}, adapt: func(t *Tool) { t.Language, t.Yes = fault.Japanese, true }}, code: ExitGone, applied: 1,
			out: []string{"フォールト 5 は解消しました", "計画:", "ログインシェルが設定されています", "完了"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.world()
			code, out, errs := w.remedy(t, c.call)
			if code != c.code || len(w.applied) != c.applied {
				t.Errorf("exit %d, applied %q; want exit %d, %d steps\n%s%s", code, w.applied, c.code, c.applied, out, errs)
			}
			for _, part := range c.out {
				if !strings.Contains(out, part) {
					t.Errorf("stdout has no %q:\n%s", part, out)
				}
			}
			for _, part := range c.errs {
				if !strings.Contains(errs, part) {
					t.Errorf("stderr has no %q:\n%s", part, errs)
				}
			}
		})
	}
}

func TestSecondRunDoesNothing(t *testing.T) {
	w := withShell()
	w.askErr = nil
	if code, _, _ := w.remedy(t, call{args: []string{"5"}, adapt: yes}); code != ExitGone || w.asked != 1 {
		t.Fatalf("first run: exit %d, the connector was asked %d times", code, w.asked)
	}
	gathered := w.gathered
	code, out, _ := w.remedy(t, call{args: []string{"5"}, adapt: yes})
	if code != ExitGone || len(w.applied) != 1 || w.asked != 1 || w.gathered != gathered+1 || !strings.Contains(out, "Fault 5 is not there") {
		t.Errorf("second run: exit %d, applied %q, asked %d times, facts read %d times:\n%s", code, w.applied, w.asked, w.gathered-gathered, out)
	}
}

// Where the connector has looked at the host after the last change, it is not asked once more; where a change came after that, it is.
func TestConnectorIsAskedOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		later bool
		asked int
	}{{"looked last", false, 0}, {"changed after it looked", true, 1}} {
		w := withShell()
		mending := w.items[0]
		w.items = append(w.items, installer.Item{Step: &installer.EventSource{}})
		if c.later {
			w.items = append(w.items, mending)
		}
		if code, out, errs := w.remedy(t, call{args: []string{"5"}, adapt: yes}); code != ExitGone || w.asked != c.asked {
			t.Errorf("%s: exit %d, asked %d times; expected %d\n%s%s", c.name, code, w.asked, c.asked, out, errs)
		}
	}
}

func TestInterrupted(t *testing.T) {
	w := withShell()
	ctx, cancel := context.WithCancel(t.Context())
	mending := w.items[0]
	w.items = []installer.Item{w.step("the step in which the interrupt comes", func() error { cancel(); return nil }), mending}
	var out, errs bytes.Buffer
	tool := &Tool{Stdout: &out, Stderr: &errs, Privileged: true, Yes: true, Language: fault.English, hands: w.hands()}
	code := tool.Remedy(ctx, Selection{IDs: []fault.ID{5}})
	if code != ExitThere || len(w.applied) != 1 || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit %d, applied %q\n%s%s", code, w.applied, out.String(), errs.String())
	}
}

func TestInterruptedQuestion(t *testing.T) {
	w := withShell()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	tool := &Tool{Stdin: blocked{}, Stdout: &out, Stderr: &errs, Terminal: true, Privileged: true, Language: fault.English, hands: w.hands()}
	if code := tool.Remedy(ctx, Selection{IDs: []fault.ID{5}}); code != ExitThere || len(w.applied) != 0 {
		t.Errorf("exit %d, applied %q", code, w.applied)
	}
}

// blocked is a terminal at which nobody sits.
type blocked struct{}

func (blocked) Read([]byte) (int, error) { select {} }

func TestCheck(t *testing.T) {
	denied := selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: []string{"prog_load"}}
	for _, c := range []struct {
		name  string
		world func() *world
		args  []string
		code  int
		out   []string
	}{
		{"sound, named", soundWorld, []string{"5", "19"}, ExitGone, []string{"ID 5   minor     clear", "Evidence:"}},
		{"sound", soundWorld, nil, ExitGone, []string{"ID 7   critical  clear           Scan service failed to start: the scan service is running"}},
		{"raised", withShell, nil, ExitThere, []string{"ID 5   minor     raised          Scan service user unavailable: cisco-amp-scan-svc has a login shell", "To mend: amp-remediate 5"}},
		{"two", func() *world {
			w := withShell()
			w.facts.SELinux.Access[0].Value = denied
			return w
		}, nil, ExitThere, []string{"amp-remediate 5 19"}},
		{"bad input", func() *world {
			w := soundWorld()
			w.facts.Policy.Err = errors.New("/opt/cisco/amp/etc/policy.xml: line 3: unexpected end")
			return w
		}, []string{"5"}, ExitUsage, []string{"line 3"}},
		{"bad input, and raised", func() *world {
			w := withShell()
			w.facts.Policy.Err = errors.New("/opt/cisco/amp/etc/policy.xml: line 3: unexpected end")
			return w
		}, []string{"5"}, ExitThere, []string{"line 3"}},
		{"unknown", func() *world {
			w := soundWorld()
			w.facts.SELinux.Mode.Err = host.ErrNotRunning
			return w
		}, []string{"19"}, ExitUnknown, []string{"only the running host can tell"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Select(c.args)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			tool := &Tool{Stdout: &out, Stderr: &out, Language: fault.English, hands: c.world().hands()}
			if code := tool.Check(t.Context(), s); code != c.code {
				t.Errorf("exit %d, want %d\n%s", code, c.code, out.String())
			}
			for _, part := range c.out {
				if !strings.Contains(out.String(), part) {
					t.Errorf("no %q in:\n%s", part, out.String())
				}
			}
			for _, line := range strings.Split(out.String(), "\n") {
				if line != strings.TrimRight(line, " ") {
					t.Errorf("spaces at the end of %q", line)
				}
			}
		})
	}
}

func TestJSON(t *testing.T) {
	s := loadSchema(t, "remediate.schema.json")
	withPerson := func() *world {
		w := withShell()
		w.items = append(w.items, installer.Item{Manual: fault.Verbatim("Reboot the host.")})
		return w
	}
	failing := func() *world {
		w := withShell()
		w.items = []installer.Item{w.step("take the login shell away", func() error { return errDisk }), w.step("never tried", nil)}
		return w
	}
	for _, c := range []struct {
		name   string
		world  func() *world
		adapt  func(*Tool)
		states []string // of the plan of fault 5
		detail string
	}{
		{"sound", soundWorld, yes, nil, ""},
		{"planned", withPerson, func(t *Tool) { t.DryRun = true }, []string{"planned", "manual"}, ""},
		{"done", withPerson, yes, []string{"done", "manual"}, ""},
		{"failed", failing, yes, []string{"failed", "planned"}, errDisk.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, language := range []fault.Language{fault.English, fault.Japanese} {
				_, out, _ := c.world().remedy(t, call{args: []string{"all"}, adapt: func(t *Tool) {
					t.JSON, t.Language = true, language
					c.adapt(t)
				}})
				if errs := s.validate([]byte(out)); errs != nil {
					t.Errorf("%q\n%s", errs, out)
				}
				var r Report
				if err := json.Unmarshal([]byte(out), &r); err != nil {
					t.Fatal(err)
				}
				five := r.Faults[0]
				if len(five.Plan) != len(c.states) {
					t.Fatalf("plan %+v, want %v", five.Plan, c.states)
				}
				for i, state := range c.states {
					if string(five.Plan[i].State) != state {
						t.Errorf("step %d is %s, want %s", i, five.Plan[i].State, state)
					}
				}
				if len(five.Plan) > 0 && !strings.Contains(five.Plan[0].Detail, c.detail) {
					t.Errorf("detail %q, want %q", five.Plan[0].Detail, c.detail)
				}
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	s := loadSchema(t, "remediate.schema.json")
	for _, make := range []func() *world{soundWorld, withShell} {
		var out bytes.Buffer
		tool := &Tool{Stdout: &out, Stderr: &out, JSON: true, Language: fault.Japanese, hands: make().hands()}
		all, _ := Select(nil)
		tool.Check(t.Context(), all)
		if errs := s.validate(out.Bytes()); errs != nil {
			t.Errorf("%q\n%s", errs, out.String())
		}
	}
}

// A connector that a step has just started opens its event source beside: it is asked first, and judged by what it says then.
func TestJudgedAfterTheConnectorSettled(t *testing.T) {
	w := soundWorld()
	w.askErr = nil
	sound := w.facts.Monitoring
	w.facts.Monitoring.Value = health.Monitoring{Source: monitor.NoSource, Chosen: monitor.EBPFKernelBTF}
	w.items = []installer.Item{w.step("start the connector anew", func() error { return nil })}
	code, out, _ := w.remedy(t, call{args: []string{"8"}, adapt: func(tool *Tool) {
		tool.Yes = true
		tool.hands.Evaluate = func(context.Context) error {
			w.facts.Monitoring = sound
			return nil
		}
	}})
	if code != ExitGone || !strings.Contains(out, "Fault 8 is gone") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
