package installer

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// noHome is the home of an account that has none. Policy manuals of the distributions want a path that never exists.
const noHome = "/nonexistent"

// User is the step that makes a system user with a group of its own as primary group: no home, no login shell, no password, no
// expiry. The account tool's result is looked at. Where it did not put the user into the group, although it was told to, it is
// asked once more in the only other way there is: with USERGROUPS_ENAB switched on while it runs.
type User struct {
	Name    string
	Group   string
	Shell   string
	Comment string
	// GroupMade says that the group was made for this user just now, so that nobody else can be using it yet: it may be deleted
	// to let the account tool make it again.
	GroupMade bool

	HadUser  bool // before the step; then Undo leaves it alone
	HadGroup bool
	GID      uint32 // of the group, if HadGroup
	Toggle   LoginDefsToggle
}

func init() { register(func() Step { return &User{} }) }

// Kind implements Step.
func (s *User) Kind() string { return "user" }

// Title implements Step.
func (s *User) Title() fault.Text {
	return fault.Text{EN: "create user %s", JA: "ユーザー %s の作成"}.With(s.Name)
}

// Commands implements Step.
func (s *User) Commands() []string {
	return []string{commandLine("useradd", s.arguments("-g", s.Group))}
}

func (s *User) arguments(more ...string) []string {
	args := append([]string{"-r", "-M"}, more...)
	return append(args, "-d", noHome, "-s", s.Shell, "-c", s.Comment, s.Name)
}

// Needed implements Step. A user of a directory service is one, too.
func (s *User) Needed(ctx context.Context, h *Host) (bool, error) {
	u := host.AccountOf(ctx, h.Root, s.Name).User
	return u.Value == nil, u.Err
}

// Prepare implements Step.
func (s *User) Prepare(ctx context.Context, h *Host) error {
	user, err := fileUser(h, s.Name)
	if err != nil {
		return err
	}
	group, err := fileGroup(h, s.Group)
	if err != nil {
		return err
	}
	s.HadUser, s.HadGroup = user != nil, group != nil
	if group != nil {
		s.GID = group.GID
	}
	s.Toggle, err = recordToggle(h)
	if err != nil { // a login.defs that cannot be parsed can only not be toggled
		h.Log.WarnContext(ctx, "USERGROUPS_ENAB cannot be toggled", "error", err)
		s.Toggle, err = LoginDefsToggle{}, nil
	}
	return err
}

// Apply implements Step.
func (s *User) Apply(ctx context.Context, h *Host) error {
	err := s.add(ctx, h)
	if err != nil && !refused(err) {
		return err
	}
	if s.inGroup(ctx, h) != nil && s.mayRemake(ctx, h) {
		h.Log.WarnContext(ctx, "the account tool did not use the group that it was told to; toggling USERGROUPS_ENAB", "user", s.Name, "error", err)
		err = s.Toggle.during(h, func() error { return s.remake(ctx, h) })
	}
	if s.inGroup(ctx, h) != nil {
		err = errors.Join(err, s.moveIntoGroup(ctx, h))
	}
	if e := s.inGroup(ctx, h); e != nil {
		return errors.Join(err, e)
	}
	return s.finish(ctx, h)
}

// add is the way that works everywhere but for odd tools.
func (s *User) add(ctx context.Context, h *Host) error {
	if needed, err := s.Needed(ctx, h); err != nil || !needed {
		return err
	}
	if g := host.AccountOf(ctx, h.Root, s.Group).Group; g.Known() && g.Value == nil { // then the tool would have to find a gid too
		if _, err := systemID(ctx, h, host.GIDs, "-g"); err != nil {
			return err
		}
	}
	id, err := systemID(ctx, h, host.UIDs, "-u")
	if err != nil {
		return err
	}
	err = h.accountTool(ctx, "useradd", s.arguments(append([]string{"-g", s.Group}, id...)...)...)
	killpoint("user-added")
	return err
}

// refused reports whether an account tool, or a wrapper of it, ended with a status of its own that another way of asking may
// avoid: usage, an argument it does not take, a group that is not there, a name that is (useradd(8): 2, 3, 6, 9).
func refused(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	switch exit.ExitCode() {
	case 2, 3, 6, 9:
		return true
	}
	return false
}

// inGroup reports why the account is not there or not in its group.
func (s *User) inGroup(ctx context.Context, h *Host) error {
	a := host.AccountOf(ctx, h.Root, s.Name)
	g := a.Group
	if s.Group != s.Name {
		g = host.AccountOf(ctx, h.Root, s.Group).Group
	}
	switch {
	case a.User.Err != nil:
		return a.User.Err
	case g.Err != nil:
		return g.Err
	case a.User.Value == nil:
		return fmt.Errorf("%s has no user %s", host.PasswdPath, s.Name)
	case g.Value == nil:
		return fmt.Errorf("%s has no group %s", host.GroupPath, s.Group)
	case a.User.Value.GID != g.Value.GID:
		return fmt.Errorf("the primary group of %s is gid %d in %s; gid %d (%s) expected", s.Name, a.User.Value.GID, a.User.From, g.Value.GID, s.Group)
	}
	return nil
}

// mayRemake reports whether user and group may be deleted to be made by the tool at once: nobody else can be using them. A group of a
// directory service cannot be made again, and a local one of its name would only hide it.
func (s *User) mayRemake(ctx context.Context, h *Host) bool {
	group := host.AccountOf(ctx, h.Root, s.Group).Group
	g := group.Value
	return group.Err == nil && !s.HadUser && s.Group == s.Name && (g == nil || g.From != host.FromNSS && s.GroupMade && len(g.Members) == 0)
}

// remake lets the tool make user and group at once, as it does under USERGROUPS_ENAB yes.
func (s *User) remake(ctx context.Context, h *Host) error {
	if err := s.deleteUser(ctx, h); err != nil {
		return err
	}
	if err := deleteGroup(ctx, h, s.Group); err != nil {
		return err
	}
	killpoint("user-remake")
	id, err := systemID(ctx, h, host.UIDs, "-u")
	if err == nil {
		err = h.accountTool(ctx, "useradd", s.arguments(id...)...)
	}
	killpoint("user-remade")
	return err
}

func (s *User) deleteUser(ctx context.Context, h *Host) error {
	if err := userFiles.mend(ctx, h, s.Name); err != nil {
		return err
	}
	u, err := fileUser(h, s.Name)
	if err != nil || u == nil {
		return err
	}
	return h.accountTool(ctx, "userdel", s.Name)
}

// moveIntoGroup is what is left where the tool cannot be made to: the user is moved afterwards.
func (s *User) moveIntoGroup(ctx context.Context, h *Host) error {
	if err := (&Group{Name: s.Group}).Apply(ctx, h); err != nil {
		return err
	}
	if u, err := fileUser(h, s.Name); err != nil || u == nil {
		return err
	}
	return s.repair(health.CausePrimaryGroup).now(ctx, h)
}

// finish corrects what the tool's defaults (useradd(8), EXPIRE, SHELL) or a wrapper made different.
func (s *User) finish(ctx context.Context, h *Host) error {
	if u, err := fileUser(h, s.Name); err != nil || u != nil && !s.HadUser && ofPeople(h, host.UIDs, s.Name, u.UID) != nil {
		return orElse(err, ofPeople(h, host.UIDs, s.Name, u.UID))
	}
	for _, cause := range []string{
		health.CauseShell, health.CausePassword, health.CauseExpiry, health.CauseExtraGroups, health.CauseHome, health.CauseUIDZero, health.CauseSharedUID,
	} {
		if err := s.repair(cause).now(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func (s *User) repair(cause string) *UserRepair {
	return &UserRepair{Name: s.Name, Group: s.Group, Cause: cause, Shell: s.Shell}
}

// Undo implements Step.
func (s *User) Undo(ctx context.Context, h *Host) error {
	if err := s.Toggle.off(h); err != nil {
		return err
	}
	if s.HadUser {
		return nil
	}
	if err := s.deleteUser(ctx, h); err != nil {
		return err
	}
	return s.restoreGroup(ctx, h)
}

// restoreGroup makes the group as it was: the tool may have made another one, and userdel takes the group along or leaves it,
// as USERGROUPS_ENAB says.
func (s *User) restoreGroup(ctx context.Context, h *Host) error {
	if err := groupFiles.mend(ctx, h, s.Group); err != nil {
		return err
	}
	group, err := fileGroup(h, s.Group)
	if err != nil {
		return err
	}
	half, err := groupFiles.half(h, s.Group)
	if err != nil {
		return err
	}
	if group != nil && (!s.HadGroup || group.GID != s.GID || half) {
		if err := deleteGroup(ctx, h, s.Group); err != nil {
			return err
		}
		group = nil
	}
	if group == nil && s.HadGroup {
		return h.accountTool(ctx, "groupadd", "-r", "-g", fmt.Sprint(s.GID), s.Group)
	}
	return nil
}

// loginRefusing is the shell for accounts that nobody logs in to, where this host has it.
func loginRefusing(r host.Root, family host.Family) string {
	shells := []string{"/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/nologin"}
	if family == host.RedHat || family == host.SUSE {
		shells[0], shells[1] = shells[1], shells[0] // as their own packages write it
	}
	for _, shell := range append(shells, "/bin/false", "/usr/bin/false") {
		if fi, err := r.Stat(shell); err == nil && fi.Mode().IsRegular() {
			return shell
		}
	}
	return shells[0]
}
