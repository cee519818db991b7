package installer

import (
	"context"
	"errors"
	"fmt"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// ServiceAction is what is done to the connector's service.
type ServiceAction string

const (
	// EnableAndStart lets systemd's presets decide at a first install whether the service starts with the host, and starts it.
	EnableAndStart ServiceAction = "enable-and-start"
	// Restart makes the connector look at the host anew: ours is asked to over its socket, others are restarted.
	Restart ServiceAction = "restart"
	// StopAndDisable stops the daemon and keeps systemd from starting it with the host.
	StopAndDisable ServiceAction = "stop-and-disable"

	enable ServiceAction = "enable"  // one half of EnableAndStart
	start  ServiceAction = "start"   // the other
	stop   ServiceAction = "stop"    // as Debian does on remove: what is enabled stays so for the next install
	Renew  ServiceAction = "replace" // the daemon's process ends and a new one starts, as after an upgrade
)

// Occasion says who acts on a service. The zero value is a person, or a remedy that one asked for.
type Occasion struct {
	Format string // "deb" or "rpm": a package's script; policy-rc.d is asked, disabled units are not started
	First  bool   // it is the package's first install
}

// Service is the step that brings the connector's service to a state, through systemd where that is process 1, else by
// starting the daemon as a plain process.
type Service struct {
	Action   ServiceAction
	Unit     string
	Binary   string
	Vendor   bool // not this project's connector: it has no socket that could be asked
	Occasion Occasion

	WasActive  bool // for Undo
	WasEnabled bool

	// Left is what was not done because something on the host forbids it, in words for a person; zero if nothing was left. It is
	// set by Needed and Apply.
	Left fault.Text `json:"-"`

	looked bool // the daemon has evaluated when it was asked to; one that was started anew does so in its own time
}

// ServiceItems are the items that bring the connector's service to a state, as a person or a remedy asks for it. A host
// without a connector has no service, and no items.
func ServiceItems(f *health.Facts, act ServiceAction) []Item {
	if !f.Found {
		return nil
	}
	return serviceItems(f, act, Occasion{})
}

func serviceItems(f *health.Facts, act ServiceAction, o Occasion) []Item {
	actions := []ServiceAction{act}
	if act == EnableAndStart {
		actions = []ServiceAction{enable, start}
		if !o.First {
			actions = actions[1:]
		}
	}
	var items []Item
	for _, a := range actions {
		items = append(items, Item{Step: &Service{
			Action: a, Unit: f.Connector.Unit, Binary: f.Connector.Binary, Vendor: f.Connector.Vendor, Occasion: o,
		}})
	}
	return items
}

func init() { register(func() Step { return &Service{} }) }

// Kind implements Step.
func (s *Service) Kind() string { return "service" }

var serviceTitles = map[ServiceAction]fault.Text{
	Restart:        {EN: "let the connector (%s) look at the host anew", JA: "コネクタ (%s) へのホスト再確認の要求"},
	StopAndDisable: {EN: "stop and disable %s", JA: "%s の停止と無効化"},
	enable:         {EN: "let systemd's presets decide whether %s starts with the host", JA: "systemd プリセットに従った %s の自動起動の設定"},
	start:          {EN: "start %s", JA: "%s の起動"},
	stop:           {EN: "stop %s", JA: "%s の停止"},
	Renew:          {EN: "end %s and start it anew", JA: "%s の終了と再起動"},
}

// Title implements Step.
func (s *Service) Title() fault.Text { return serviceTitles[s.Action].With(s.Unit) }

var serviceCommands = map[ServiceAction]string{
	Restart:        "systemctl restart ",
	StopAndDisable: "systemctl disable --now ",
	enable:         "systemctl preset ",
	start:          "systemctl start ",
	stop:           "systemctl stop ",
	Renew:          "systemctl restart ",
}

// Commands implements Step. They are those of a host with systemd.
func (s *Service) Commands() []string {
	command := serviceCommands[s.Action]
	if s.Action == Restart && !s.Vendor {
		command = "systemctl reload-or-restart " // it evaluates then, and goes on monitoring
	}
	return []string{command + s.Unit}
}

// Remark is what was left undone, in words for a person; zero if nothing was.
func (s *Service) Remark() fault.Text { return s.Left }

// Needed implements Step.
func (s *Service) Needed(ctx context.Context, h *Host) (bool, error) {
	s.Left = fault.Text{}
	if s.Action == Restart || s.Action == Renew {
		return h.Live, nil
	}
	st, err := s.state(ctx, h)
	if err != nil {
		return false, err
	}
	switch s.Action {
	case enable:
		return st.canEnable && !st.enabled && !st.masked, nil
	case start:
		if st.active {
			return false, nil
		}
		// Asked before the enabling step of the same plan has run, so that being disabled is looked at in Apply.
		if why := s.forbidden(ctx, h, st); why != (fault.Text{}) {
			s.leave(why, st)
			return false, nil
		}
		return true, nil
	case stop:
		return st.active, nil
	}
	return st.active || st.enabled, nil // StopAndDisable
}

// Prepare implements Step. A daemon that can be asked to look anew need not be asked for by systemctl, which takes longer than the answer.
func (s *Service) Prepare(ctx context.Context, h *Host) error {
	if s.Action == Restart && !s.Vendor {
		if pid, err := runningProcess(h); err == nil && pid != 0 {
			s.WasActive = true
			return nil
		}
	}
	st, err := s.state(ctx, h)
	s.WasActive, s.WasEnabled = st.active, st.enabled
	return err
}

// Apply implements Step.
func (s *Service) Apply(ctx context.Context, h *Host) error {
	switch s.Action {
	case enable:
		return s.enable(ctx, h)
	case start, Renew:
		return s.startOrLeave(ctx, h)
	case stop, StopAndDisable:
		return s.stop(ctx, h)
	}
	return s.lookAnew(ctx, h)
}

// Undo implements Step.
func (s *Service) Undo(ctx context.Context, h *Host) error {
	st, err := s.state(ctx, h)
	if err != nil {
		return err
	}
	switch {
	case s.Action == enable && st.enabled && !s.WasEnabled:
		return s.systemctl(ctx, h, "disable")
	case s.Action == start:
		// Under systemd a unit that starts stays so: the start at boot may be what runs this undo, as its ExecStartPre.
		if st.plain && !s.WasActive {
			return stopProcess(ctx, h)
		}
		return nil
	case s.Action == StopAndDisable && !st.enabled && s.WasEnabled:
		if err := s.systemctl(ctx, h, "enable"); err != nil {
			return err
		}
	}
	if s.WasActive && !st.active { // stop, StopAndDisable, and a replace that stopped the old one
		return s.start(ctx, h, st)
	}
	return nil
}

// leave notes what is not done and how it would be.
func (s *Service) leave(why fault.Text, st serviceState) {
	how := "amp-install start"
	switch {
	case st.masked:
		how = "systemctl unmask " + s.Unit + " && systemctl start " + s.Unit
	case st.systemd && !st.enabled:
		how = "systemctl enable --now " + s.Unit
	case st.systemd:
		how = "systemctl start " + s.Unit
	}
	words := notStarted
	if st.active {
		words = stillEarlier
		how = "amp-install restart"
		if st.systemd {
			how = "systemctl restart " + s.Unit
		}
	}
	s.Left = words.With(s.Unit, why, how)
}

// What is said of a service that something on the host keeps from being started: unit, reason, command.
var (
	notStarted = fault.Text{
		EN: "%s was not started: %s; when it should: %s",
		JA: "%s は起動していません: %s。起動する場合のコマンド: %s",
	}
	stillEarlier = fault.Text{
		EN: "%s still runs the earlier program: %s; when it should: %s",
		JA: "%s は以前のプログラムのまま動作しています: %s。再起動する場合のコマンド: %s",
	}
)

// startOrLeave starts the service, or starts it anew, unless the host forbids it.
func (s *Service) startOrLeave(ctx context.Context, h *Host) error {
	st, err := s.state(ctx, h)
	if err != nil {
		return err
	}
	why := s.forbidden(ctx, h, st)
	if why == (fault.Text{}) && st.systemd && !st.enabled && !st.active && s.Occasion.Format != "" {
		why = isDisabled
	}
	if why != (fault.Text{}) {
		s.leave(why, st)
		return nil
	}
	if s.Action == Renew && st.plain {
		if err := stopProcess(ctx, h); err != nil {
			return err
		}
	}
	return s.start(ctx, h, st)
}

// LookedAnew reports whether a step that was done ended with an evaluation by our connector, of the host as the steps before it had left it.
func LookedAnew(s Step) bool {
	switch s := s.(type) {
	case *EventSource:
		return true
	case *Service:
		return s.looked
	}
	return false
}

// lookAnew asks our connector to evaluate the host; where it does not answer, and for others, the daemon starts anew.
func (s *Service) lookAnew(ctx context.Context, h *Host) error {
	if !s.Vendor {
		_, err := askAbout(ctx, h, control.Evaluate)
		if err == nil {
			s.looked = true
			return nil
		}
		if !errors.Is(err, control.ErrNotRunning) {
			h.Log.Warn("the connector did not look at the host anew and is restarted", "error", err)
		}
	}
	st, err := s.state(ctx, h)
	switch {
	case err != nil:
		return err
	case st.masked:
		return fmt.Errorf("%s is masked: systemctl unmask %s && systemctl start %s", s.Unit, s.Unit, s.Unit)
	case st.systemd:
		return s.systemctl(ctx, h, "restart")
	case s.Vendor:
		return fmt.Errorf("%s cannot be restarted without systemd: restart the connector by hand", s.Unit)
	case st.plain:
		if err := stopProcess(ctx, h); err != nil {
			return err
		}
	}
	return startProcess(ctx, h, s.Binary)
}
