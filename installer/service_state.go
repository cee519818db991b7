package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// serviceState is what is known of the service at one moment.
type serviceState struct {
	systemd   bool // systemd is process 1 and answers
	canEnable bool // there is something that can enable the unit
	enabled   bool
	masked    bool
	active    bool // the daemon runs, under systemd or without
	plain     bool // it runs without systemd
}

// state looks at the service. Without systemctl no unit is enabled; below another root nothing is active.
func (s *Service) state(ctx context.Context, h *Host) (serviceState, error) {
	var st serviceState
	_, hasSystemctl := host.FindTool(h.Root, "systemctl")
	_, hasHelper := host.FindTool(h.Root, "deb-systemd-helper")
	st.canEnable = hasSystemctl || hasHelper && s.Occasion.Format == "deb"
	if hasSystemctl {
		// is-enabled answers from files where systemd does not run. Its exit status is 1 for "disabled" and "masked" too.
		out, _ := h.Ask(ctx, "systemctl", s.arguments(h, "is-enabled")...)
		word := strings.TrimSpace(string(out))
		st.enabled = strings.HasPrefix(word, "enabled")
		st.masked = strings.HasPrefix(word, "masked")
	} else if hasHelper {
		st.enabled = s.helper(ctx, h, "is-enabled") == nil
	}
	if !h.Live {
		return st, nil
	}
	st.systemd = hasSystemctl && booted(h)
	var unanswered error
	if st.systemd {
		out, err := h.Ask(ctx, "systemctl", "is-active", s.Unit)
		switch word := strings.TrimSpace(string(out)); {
		case runs[word]:
			st.active = true
			return st, nil
		case !rests[word]:
			unanswered = orElse(err, fmt.Errorf("systemctl is-active %s: read %.80q, expected a state", s.Unit, word))
		}
	}
	pid, err := runningProcess(h)
	if err != nil {
		return st, err
	}
	st.plain = pid != 0
	st.active = st.plain
	if st.plain {
		return st, nil
	}
	return st, unanswered
}

// What systemctl is-active says of a unit (systemd 219 to 258). Anything else is no answer, as where process 1 cannot be asked.
var (
	runs  = map[string]bool{"active": true, "activating": true, "reloading": true, "refreshing": true}
	rests = map[string]bool{"inactive": true, "failed": true, "deactivating": true, "maintenance": true, "unknown": true}
)

// booted reports whether systemd is process 1 (sd_booted(3)).
func booted(h *Host) bool {
	fi, err := h.Root.Lstat("/run/systemd/system")
	return err == nil && fi.IsDir()
}

// arguments are those of systemctl for an action on the unit's files, below h's root.
func (s *Service) arguments(h *Host, verb string) []string {
	if h.Live {
		return []string{verb, s.Unit}
	}
	return []string{"--root=" + h.Root.Dir(), verb, s.Unit}
}

func (s *Service) systemctl(ctx context.Context, h *Host, verb string) error {
	_, err := h.Run(ctx, "systemctl", s.arguments(h, verb)...)
	return err
}

// helper calls deb-systemd-helper, which answers only where dpkg's environment says for which package.
func (s *Service) helper(ctx context.Context, h *Host, verb string) error {
	_, err := h.Run(ctx, "env", "DPKG_MAINTSCRIPT_PACKAGE="+host.Connectors[0].Package, "deb-systemd-helper", "--quiet", verb, s.Unit)
	return err
}

// enable lets presets decide (systemd.preset(5); where none says anything the unit is enabled). On Debian the result is also
// given to deb-systemd-helper, whose record is what a purge takes the links away by.
func (s *Service) enable(ctx context.Context, h *Host) error {
	if _, ok := host.FindTool(h.Root, "systemctl"); !ok {
		return s.helper(ctx, h, "enable")
	}
	if h.Live && booted(h) {
		if _, err := h.Run(ctx, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	if err := s.systemctl(ctx, h, "preset"); err != nil {
		return err
	}
	if _, ok := host.FindTool(h.Root, "deb-systemd-helper"); ok && s.Occasion.Format == "deb" && h.Live {
		return s.helper(ctx, h, "update-state")
	}
	return nil
}

// start starts the daemon; under systemd one that runs is restarted if its program was replaced.
func (s *Service) start(ctx context.Context, h *Host, st serviceState) error {
	if !st.systemd {
		return startProcess(ctx, h, s.Binary)
	}
	if _, err := h.Run(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	if s.Action == Renew {
		return s.systemctl(ctx, h, "restart")
	}
	return s.systemctl(ctx, h, "start")
}

// stop stops the daemon however it was started.
func (s *Service) stop(ctx context.Context, h *Host) error {
	st, err := s.state(ctx, h)
	if err != nil {
		return err
	}
	if st.enabled && s.Action == StopAndDisable {
		if err := s.systemctl(ctx, h, "disable"); err != nil {
			return err
		}
	}
	if st.systemd && st.active && !st.plain {
		if err := s.systemctl(ctx, h, "stop"); err != nil {
			return err
		}
	}
	if !h.Live {
		return nil
	}
	return stopProcess(ctx, h)
}

// What speaks against starting a service.
var (
	isMasked      = fault.Text{EN: "it is masked", JA: "マスクされています"}
	isDisabled    = fault.Text{EN: "it is disabled", JA: "無効化されています"}
	isImage       = fault.Text{EN: "this is an image, not the running host", JA: "動作中のホストではなくイメージです"}
	isBuilding    = fault.Text{EN: "SYSTEMD_OFFLINE=1 says that an image is being built", JA: "SYSTEMD_OFFLINE=1 により、イメージの作成中と判断しました"}
	isChroot      = fault.Text{EN: "this is a chroot", JA: "chroot 環境です"}
	isChrootMaybe = fault.Text{EN: "it cannot be told whether this is a chroot (%v)", JA: "chroot 環境かどうか判定できません (%v)"}
)

// forbidden tells what on the host speaks against starting the service now; zero if nothing does.
func (s *Service) forbidden(ctx context.Context, h *Host, st serviceState) fault.Text {
	if st.masked {
		return isMasked
	}
	if !h.Live {
		return isImage
	}
	if s.Occasion.Format == "" {
		return fault.Text{}
	}
	if !st.systemd {
		if why := offline(); why != (fault.Text{}) {
			return why
		}
	}
	verb := "start"
	if s.Action == Renew {
		verb = "restart"
	}
	return policyForbids(ctx, h, s.Unit, verb)
}

// offline tells why services are not to be started here although the process is root: an image is being built.
func offline() fault.Text {
	if os.Getenv("SYSTEMD_OFFLINE") == "1" { // set by image builders (rpm-ostree among them), see systemd's ENVIRONMENT.md
		return isBuilding
	}
	inside, err := chrooted()
	switch {
	case err != nil:
		return isChrootMaybe.With(err)
	case inside:
		return isChroot
	}
	return fault.Text{}
}

// chrooted reports whether / differs from the root of process 1, the way systemd tells (running_in_chroot). Where that process
// may not be looked at, as in some containers, the own mounts tell.
func chrooted() (bool, error) {
	var own, init syscall.Stat_t
	if err := syscall.Stat("/", &own); err != nil {
		return false, err
	}
	err := syscall.Stat("/proc/1/root", &init)
	switch {
	case err == nil:
		return own.Dev != init.Dev || own.Ino != init.Ino, nil
	case !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM):
		return false, fmt.Errorf("stat /proc/1/root: %w", err)
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	return !mountedAtRoot(string(b)), nil
}

// mountedAtRoot reports whether something is mounted at / in a mountinfo (proc_pid_mountinfo(5)), which lists what is below
// the reader's root: in a chroot, whose directory is as a rule no mount point, nothing is.
func mountedAtRoot(mountinfo string) bool {
	const mountPoint = 4
	for line := range strings.Lines(mountinfo) {
		if f := strings.Fields(line); len(f) > mountPoint && f[mountPoint] == "/" {
			return true
		}
	}
	return false
}
