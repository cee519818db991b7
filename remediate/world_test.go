package remediate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

// world is a host in memory: facts that steps change, and a record of what was done to it.
type world struct {
	facts    health.Facts
	items    []installer.Item // the plan of each raised fault
	locked   bool             // another program holds the lock
	left     []string         // what an interrupted run left
	onUndo   func()
	applied  []string
	asked    int // how often the connector was asked to evaluate
	gathered int
	askErr   error
}

const account = "cisco-amp-scan-svc"

// soundWorld is an enforcing host on which nothing is wrong.
func soundWorld() *world {
	w := &world{askErr: control.ErrNotRunning}
	f := &w.facts
	f.Connector, f.Found = host.Connectors[0], true
	f.Policy = host.Read(policy.Default(), policy.Path)
	f.Host.Root, f.Host.Live, f.Host.Arch = "/", true, "amd64"
	f.Host.Distribution = host.Read(host.Distribution{ID: "rocky", VersionID: "9.4", Name: "Rocky Linux 9.4", Family: host.RedHat}, "/etc/os-release")
	f.Host.Kernel = host.Read(host.Kernel{Release: "5.14.0-427.el9.x86_64"}, "uname -r")
	f.Host.Account = host.AccountFacts{
		Name:         account,
		User:         host.Read(&host.Account{Name: account, UID: 998, GID: 997, Home: "/nonexistent", Shell: "/sbin/nologin"}, "/etc/passwd"),
		Group:        host.Read(&host.Group{Name: account, GID: 997}, "/etc/group"),
		Password:     host.Read(host.Password{Locked: true}, "/etc/shadow"),
		ExtraGroups:  host.Read([]string(nil), "/etc/group"),
		SameUID:      host.Read([]string(nil), "/etc/passwd"),
		HomeOwner:    host.Read[*uint32](nil, "/nonexistent"),
		PrimaryGroup: host.Read(account, "/etc/group"),
	}
	f.BPF = bpf.Facts{KernelBTF: host.Read(true, "/sys/kernel/btf/vmlinux"), Load: host.Read(true, "bpf(2)")}
	f.Monitoring = host.Read(health.Monitoring{
		Source: monitor.EBPFKernelBTF, Chosen: monitor.EBPFKernelBTF, Hooks: "fentry", Proved: true, Detail: "exec of process 7",
	}, control.Socket)
	f.At = time.Now()
	f.Host.Engine.Libraries = host.Read([]string{"/usr/lib64/libclamav.so.12"}, "/usr/lib64")
	f.Host.Memory = host.Read(host.Memory{Total: 2 << 30, Available: 500 << 20}, "/proc/meminfo")
	f.Scanning = host.Read(control.Scan{
		State: control.ScanReady, PID: 500, User: account, UID: 998, GID: 997, Engine: "1.4.6", Definitions: "27500", Signatures: 8700000,
		Limits: control.ScanLimits{Ends: 3, Window: 300, Quiet: 600},
	}, control.Socket)
	f.SELinux = selinux.Facts{
		Mode:   host.Read(selinux.Enforcing, "/sys/fs/selinux/enforce"),
		Domain: host.Read(host.DefaultDomain, "/proc/412/attr/current"),
		Needs:  []selinux.Need{selinux.BPFNeed},
		Access: []host.Reading[selinux.Access]{host.Read(selinux.Access{Need: selinux.BPFNeed, ClassKnown: true}, "/sys/fs/selinux/access")},
		Store:  host.Read(selinux.Store{State: selinux.ModulePresent, Priority: 400}, "/var/lib/selinux/targeted"),
		Tools:  map[string]host.Reading[bool]{"semodule": host.Read(true, "/usr/sbin/semodule")},
	}
	return w
}

// withShell is a world in which fault 5 is there, and a step that mends it.
func withShell() *world {
	w := soundWorld()
	w.facts.Host.Account.User.Value.Shell = "/bin/bash"
	w.items = []installer.Item{w.step("take the login shell away", func() error {
		w.facts.Host.Account.User.Value.Shell = "/sbin/nologin"
		return nil
	})}
	return w
}

func (w *world) step(title string, apply func() error) installer.Item {
	return installer.Item{Step: &act{world: w, title: title, apply: apply}, Packages: []string{"shadow-utils"}}
}

// act is a step that changes the world.
type act struct {
	installer.Step
	world *world
	title string
	ja    string // the title in Japanese, "" for the same
	apply func() error
}

func (a *act) Title() fault.Text {
	if a.ja == "" {
		return fault.Verbatim(a.title)
	}
	return fault.Text{EN: a.title, JA: a.ja}
}

func (a *act) Commands() []string { return []string{"usermod -s /sbin/nologin " + account} }

func (w *world) hands() hands {
	return hands{
		Target: func(host.Root, *slog.Logger) *installer.Host {
			return &installer.Host{Root: host.At("/nonexistent"), Log: slog.New(slog.DiscardHandler)}
		},
		Gather: func(context.Context, health.Options) *health.Facts {
			w.gathered++
			f := w.facts
			user := w.facts.Host.Account.User
			if user.Value != nil {
				copied := *user.Value // facts are a picture, not the host
				f.Host.Account.User.Value = &copied
			}
			return &f
		},
		Plan: func(_ *health.Facts, x fault.Finding) (installer.Plan, error) {
			if _, err := Plan(&w.facts, fault.Finding{ID: x.ID}); err != nil {
				return installer.Plan{}, err
			}
			return installer.Plan{Name: "fault", Items: w.items}, nil
		},
		Run:      w.run,
		Lock:     w.lock,
		Recover:  w.recover,
		Evaluate: func(context.Context) error { w.asked++; return w.askErr },
		Log:      noLog,
	}
}

func (w *world) run(ctx context.Context, _ *installer.Host, p installer.Plan, o installer.Options) (results []installer.Result, err error) {
	for i, item := range p.Items {
		r := installer.Result{Item: item, Outcome: installer.Planned}
		switch {
		case item.Step == nil:
			r.Outcome = installer.Manual
		case o.DryRun:
		case ctx.Err() != nil:
			r.Outcome, r.Err = installer.Failed, ctx.Err()
		default:
			w.applied = append(w.applied, item.Step.Title().EN)
			r.Outcome = installer.Done
			if a, ok := item.Step.(*act); ok { // else a real one, of which only the kind matters
				r.Err = a.apply()
			}
			if r.Err != nil {
				r.Outcome = installer.Failed
			}
		}
		results = append(results, r)
		if o.Finished != nil {
			o.Finished(i, len(p.Items), r)
		}
		if r.Err != nil {
			return results, r.Err
		}
	}
	return results, nil
}

func (w *world) lock(context.Context, *installer.Host, time.Duration) (func() error, error) {
	if w.locked {
		return nil, installer.ErrLocked
	}
	return func() error { return nil }, nil
}

func (w *world) recover(context.Context, *installer.Host) ([]fault.Text, error) {
	var undone []fault.Text
	for _, title := range w.left {
		undone = append(undone, fault.Verbatim(title))
	}
	w.left = nil
	if len(undone) > 0 && w.onUndo != nil {
		w.onUndo()
	}
	return undone, nil
}

// call is one run of the tool on a world.
type call struct {
	args  []string
	in    string
	adapt func(*Tool)
}

func (w *world) remedy(t *testing.T, c call) (code int, stdout, stderr string) {
	t.Helper()
	s, err := Select(c.args)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	tool := &Tool{Stdin: strings.NewReader(c.in), Stdout: &out, Stderr: &errs, Terminal: true, Privileged: true, Language: fault.English, hands: w.hands()}
	if c.adapt != nil {
		c.adapt(tool)
	}
	code = tool.Remedy(t.Context(), s)
	return code, out.String(), errs.String()
}

var errDisk = errors.New("usermod: /etc/passwd: no space left on device")

func noLog() (*slog.Logger, func() error) {
	return slog.New(slog.DiscardHandler), func() error { return nil }
}
