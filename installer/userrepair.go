package installer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// UserRepair is the step that takes back one deviation of an account. It never deletes the account.
type UserRepair struct {
	Name  string
	Group string // primary group that the user is to have
	Cause string // one of health's causes of fault 5
	Shell string

	// As it was before the step, for Undo. Password hashes are not recorded: locking puts a mark before them.
	Account   host.Account
	Empty     bool     // the password was empty
	ExpiryDay int64    // days since 1970-01-01
	Groups    []string // beside the primary one
	GroupGID  uint32   // of Group
	// NewUID and NewGID are what the step gives where an id has to change.
	NewUID uint32
	NewGID uint32
	// Owners are the files below the connector's folders that no account owns, or NewUID already did, with their uids before.
	Owners map[string]uint32
}

func init() { register(func() Step { return &UserRepair{} }) }

// deviation is how one cause is seen, mended and put back.
type deviation struct {
	title    fault.Text
	present  func(*UserRepair, host.AccountFacts) bool
	known    func(host.AccountFacts) error // why present cannot tell
	commands func(*UserRepair) []string
	apply    func(context.Context, *Host, *UserRepair) error
	undo     func(context.Context, *Host, *UserRepair) error
}

// deviations by cause. Ids are changed last of all, since the order of repairs gives a home away before.
var deviations = map[string]deviation{
	health.CauseHome: {
		title: fault.Text{EN: "take the home of %s away, which others own", JA: "他者が所有する %s のホームディレクトリ設定の解除"},
		present: func(_ *UserRepair, a host.AccountFacts) bool {
			o := a.HomeOwner.Value
			return o != nil && *o != 0 && *o != a.User.Value.UID
		},
		known: func(a host.AccountFacts) error { return a.HomeOwner.Err },
		apply: usermod("-d", func(*UserRepair) string { return noHome }),
		undo:  usermod("-d", func(s *UserRepair) string { return s.Account.Home }),
	},
	health.CauseUIDZero: {
		title:    fault.Text{EN: "give %s a system uid instead of 0", JA: "%s の UID の変更 (0 からシステム UID へ)"},
		present:  func(_ *UserRepair, a host.AccountFacts) bool { return a.User.Value.UID == 0 },
		commands: (*UserRepair).uidCommands,
		apply:    changeUID, undo: restoreUID,
	},
	health.CauseSharedUID: {
		title: fault.Text{EN: "give %s a uid of its own", JA: "%s の UID の変更 (重複しない UID へ)"},
		present: func(_ *UserRepair, a host.AccountFacts) bool {
			return a.User.Value.UID != 0 && len(a.SameUID.Value) > 0
		},
		known:    func(a host.AccountFacts) error { return a.SameUID.Err },
		commands: (*UserRepair).uidCommands,
		apply:    changeUID, undo: restoreUID,
	},
	health.CauseShell: {
		title:   fault.Text{EN: "take the login shell of %s away", JA: "%s のログインシェルの無効化"},
		present: func(_ *UserRepair, a host.AccountFacts) bool { return !host.NoLogin(a.User.Value.Shell) },
		apply:   usermod("-s", func(s *UserRepair) string { return s.Shell }),
		undo:    usermod("-s", func(s *UserRepair) string { return s.Account.Shell }),
	},
	health.CausePassword: {
		title: fault.Text{EN: "lock the password of %s", JA: "%s のパスワードのロック"},
		present: func(_ *UserRepair, a host.AccountFacts) bool {
			return a.Password.Value.Empty || !a.Password.Value.Locked
		},
		known:    func(a host.AccountFacts) error { return a.Password.Err },
		commands: func(s *UserRepair) []string { return []string{commandLine("usermod", append(s.lock(), s.Name))} },
		apply: func(ctx context.Context, h *Host, s *UserRepair) error {
			return h.accountTool(ctx, "usermod", append(s.lock(), s.Name)...)
		},
		undo: func(ctx context.Context, h *Host, s *UserRepair) error {
			if s.Empty {
				return h.accountTool(ctx, "usermod", "-p", "", s.Name)
			}
			return h.accountTool(ctx, "usermod", "-U", s.Name)
		},
	},
	health.CauseExpiry: {
		title:   fault.Text{EN: "take the expiry date of %s away", JA: "%s の有効期限の解除"},
		present: func(_ *UserRepair, a host.AccountFacts) bool { return a.Password.Value.Expires },
		known:   func(a host.AccountFacts) error { return a.Password.Err },
		apply:   usermod("-e", func(*UserRepair) string { return "" }),
		undo: usermod("-e", func(s *UserRepair) string {
			return time.Unix(s.ExpiryDay*24*60*60, 0).UTC().Format(time.DateOnly)
		}),
	},
	health.CausePrimaryGroup: {
		title: fault.Text{EN: "make %s's own group its primary group", JA: "%s のプライマリグループの変更 (専用のグループへ)"},
		present: func(s *UserRepair, a host.AccountFacts) bool {
			g := a.Group.Value
			return g == nil || g.GID == 0 || a.User.Value.GID != g.GID
		},
		known:    func(a host.AccountFacts) error { return a.Group.Err },
		commands: (*UserRepair).gidCommands,
		apply:    changeGID, undo: restoreGID,
	},
	health.CauseExtraGroups: {
		title:   fault.Text{EN: "take %s out of other groups", JA: "余分なグループからの %s の削除"},
		present: func(_ *UserRepair, a host.AccountFacts) bool { return len(localGroups(a)) > 0 },
		known:   func(a host.AccountFacts) error { return a.ExtraGroups.Err },
		apply:   usermod("-G", func(*UserRepair) string { return "" }),
		undo:    usermod("-G", func(s *UserRepair) string { return strings.Join(s.Groups, ",") }),
	},
}

// repairOrder is the order in which deviations are taken back.
var repairOrder = []string{
	health.CauseHome, health.CauseUIDZero, health.CauseSharedUID, health.CauseShell, health.CausePassword, health.CauseExpiry,
	health.CausePrimaryGroup, health.CauseExtraGroups,
}

// usermod sets one thing with usermod(8).
func usermod(option string, value func(*UserRepair) string) func(context.Context, *Host, *UserRepair) error {
	return func(ctx context.Context, h *Host, s *UserRepair) error {
		return h.accountTool(ctx, "usermod", option, value(s), s.Name)
	}
}

// usermodValues are the options and values of the causes that usermod sets, for Commands.
var usermodValues = map[string]func(*UserRepair) []string{
	health.CauseHome:        func(*UserRepair) []string { return []string{"-d", noHome} },
	health.CauseShell:       func(s *UserRepair) []string { return []string{"-s", s.Shell} },
	health.CauseExpiry:      func(*UserRepair) []string { return []string{"-e", ""} },
	health.CauseExtraGroups: func(*UserRepair) []string { return []string{"-G", ""} },
}

// Kind implements Step.
func (s *UserRepair) Kind() string { return "user-repair" }

// Title implements Step.
func (s *UserRepair) Title() fault.Text {
	d, ok := deviations[s.Cause]
	if !ok {
		return fault.Text{EN: "mend %s of %s", JA: "%[2]s の修復 (%[1]s)"}.With(s.Cause, s.Name)
	}
	return d.title.With(s.Name)
}

// Commands implements Step.
func (s *UserRepair) Commands() []string {
	if values, ok := usermodValues[s.Cause]; ok {
		return []string{commandLine("usermod", append(values(s), s.Name))}
	}
	if c := deviations[s.Cause].commands; c != nil {
		return c(s)
	}
	return nil
}

// Needed implements Step. It looks up the id that the step would give, so that Commands can name it.
func (s *UserRepair) Needed(ctx context.Context, h *Host) (bool, error) {
	d, ok := deviations[s.Cause]
	if !ok {
		return false, fmt.Errorf("no repair for %q", s.Cause)
	}
	a := host.AccountOf(ctx, h.Root, s.Name)
	if a.User.Err != nil {
		return false, a.User.Err
	}
	if a.User.Value == nil || a.User.Value.From == host.FromNSS {
		return false, nil
	}
	if d.known != nil {
		if err := d.known(a); err != nil {
			return false, err
		}
	}
	if !d.present(s, a) {
		return false, nil
	}
	return true, s.record(ctx, h, a)
}

// record notes how the account is, and which ids it will get.
func (s *UserRepair) record(ctx context.Context, h *Host, a host.AccountFacts) error {
	s.Account, s.Empty, s.ExpiryDay, s.Groups = *a.User.Value, a.Password.Value.Empty, a.Password.Value.ExpiryDay, localGroups(a)
	var err error
	switch s.Cause {
	case health.CauseUIDZero, health.CauseSharedUID:
		err = s.recordUID(ctx, h)
	case health.CausePrimaryGroup:
		err = s.recordGroup(ctx, h, a)
	}
	return err
}

// localGroups are those groups beside the primary one that the files put the user into, which usermod can change.
func localGroups(a host.AccountFacts) []string {
	return slices.DeleteFunc(slices.Clone(a.ExtraGroups.Value), func(g string) bool { return slices.Contains(a.DirectoryGroups, g) })
}

func (s *UserRepair) recordGroup(ctx context.Context, h *Host, a host.AccountFacts) (err error) {
	if a.Group.Value == nil {
		return nil // a step before this one makes it
	}
	s.GroupGID, s.NewGID = a.Group.Value.GID, a.Group.Value.GID
	if s.GroupGID == 0 {
		s.NewGID, err = host.FreeID(ctx, h.Root, host.GIDs, nil)
	}
	return err
}

// Prepare implements Step.
func (s *UserRepair) Prepare(ctx context.Context, h *Host) error {
	_, err := s.Needed(ctx, h)
	return err
}

// Apply implements Step.
func (s *UserRepair) Apply(ctx context.Context, h *Host) error {
	if err := deviations[s.Cause].apply(ctx, h, s); err != nil {
		return err
	}
	return s.verify(ctx, h)
}

// verify looks at what is really there. A wrapper of the account tool may have done something else.
func (s *UserRepair) verify(ctx context.Context, h *Host) error {
	d := deviations[s.Cause]
	a := host.AccountOf(ctx, h.Root, s.Name)
	if a.User.Err != nil || a.User.Value == nil {
		return orElse(a.User.Err, fmt.Errorf("user %s is gone", s.Name))
	}
	if d.known != nil && d.known(a) != nil {
		return d.known(a)
	}
	if d.present(s, a) {
		return fmt.Errorf("%s: the account tool ended well, and yet nothing has changed", s.Title().EN)
	}
	return nil
}

// now is the whole step at once, inside of another one that is journaled and undone as a whole.
func (s *UserRepair) now(ctx context.Context, h *Host) error {
	if needed, err := s.Needed(ctx, h); err != nil || !needed {
		return err
	}
	return s.Apply(ctx, h)
}

// Undo implements Step. Only what the step changed is put back, whatever happened to the rest since.
func (s *UserRepair) Undo(ctx context.Context, h *Host) error {
	if err := errors.Join(userFiles.clear(h), groupFiles.clear(h)); err != nil {
		return err
	}
	a := host.AccountOf(ctx, h.Root, s.Name)
	if a.User.Err != nil {
		return a.User.Err
	}
	d := deviations[s.Cause]
	idChange := d.commands != nil && s.Cause != health.CausePassword // may be half done: the undo itself looks
	if a.User.Value == nil || s.Account.Name == "" || !idChange && d.present(s, a) {
		return nil
	}
	return d.undo(ctx, h, s)
}

// lock is usermod's way to lock the password that there is.
func (s *UserRepair) lock() []string {
	if s.Empty {
		return []string{"-p", "!"}
	}
	return []string{"-L"}
}

func (s *UserRepair) uidField() accountField { return accountField{host.PasswdPath, s.Name, 2} }
func (s *UserRepair) gidField() accountField { return accountField{host.PasswdPath, s.Name, 3} }
func (s *UserRepair) groupField() accountField {
	return accountField{host.GroupPath, s.Group, 2}
}

func (s *UserRepair) gidCommands() []string {
	var c []string
	if s.GroupGID == 0 && s.NewGID != 0 {
		c = append(c, s.groupField().command(decimal(s.NewGID)))
	}
	gid := s.NewGID
	if gid == 0 { // the group is yet to be made
		return []string{commandLine("usermod", []string{"-g", s.Group, s.Name})}
	}
	return append(c, s.gidField().command(decimal(gid)))
}

// changeGID gives the group a system gid if it has root's, and the user that gid.
func changeGID(ctx context.Context, h *Host, s *UserRepair) error {
	if s.NewGID == 0 {
		return fmt.Errorf("%s has no group %s", host.GroupPath, s.Group)
	}
	if s.GroupGID == 0 {
		if err := s.groupField().write(ctx, h, decimal(s.NewGID)); err != nil {
			return err
		}
		killpoint("gid-changed")
	}
	return s.gidField().write(ctx, h, decimal(s.NewGID))
}

func restoreGID(ctx context.Context, h *Host, s *UserRepair) error {
	if s.NewGID == 0 {
		return nil
	}
	if err := s.gidField().restore(ctx, h, decimal(s.Account.GID)); err != nil || s.GroupGID != 0 {
		return err
	}
	return s.groupField().restore(ctx, h, "0")
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
