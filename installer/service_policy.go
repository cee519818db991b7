package installer

import (
	"context"
	"errors"
	"os/exec"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
)

// policyProgram is a site's word on what package scripts may do to services (invoke-rc.d(8), section INIT SCRIPT POLICY).
const policyProgram = "/usr/sbin/policy-rc.d"

// policyAllows lists the exit statuses of policy-rc.d that allow an action, as invoke-rc.d takes them: 1 and 105 are
// "behaviour uncertain, assume allowed", 104 is "allowed". All others forbid: 101 by name, 106 asks for another action.
var policyAllows = map[int]bool{0: true, 1: true, 104: true, 105: true}

// What is said of policy-rc.d.
var (
	policyRefuses = fault.Text{EN: "%s forbids it (exit status %d)", JA: "%s により禁止されています (終了ステータス %d)"}
	policyFails   = fault.Text{EN: "%s %s %s: %v", JA: "%s %s %s を実行できません: %v"}
)

// policyForbids asks policy-rc.d, if the host has one, and returns its refusal in words, zero if there is none.
func policyForbids(ctx context.Context, h *Host, unit, verb string) fault.Text {
	fi, err := h.Root.Stat(policyProgram)
	if err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
		return fault.Text{}
	}
	name := unit // as deb-systemd-invoke names it; init scripts have no suffix
	if !booted(h) {
		name = strings.TrimSuffix(unit, ".service")
	}
	path, err := h.Root.Path(policyProgram)
	if err != nil {
		return policyFails.With(policyProgram, name, verb, err)
	}
	err = exec.CommandContext(ctx, path, name, verb).Run()
	status := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	case err != nil:
		return policyFails.With(policyProgram, name, verb, err)
	}
	if policyAllows[status] {
		return fault.Text{}
	}
	return policyRefuses.With(policyProgram, status)
}
