package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Causes of fault 5. CauseDirectory is followed by the directory's path.
const (
	CauseUserMissing  = "user-missing"
	CauseGroupMissing = "group-missing"
	CauseUIDZero      = "uid-zero"
	CauseSharedUID    = "shared-uid"
	CauseShell        = "shell"
	CausePassword     = "password"
	CauseExpiry       = "expiry"
	CausePrimaryGroup = "primary-group"
	CauseExtraGroups  = "extra-groups"
	CauseHome         = "home"
	CauseDirectory    = "directory:"
)

// noLoginShells refuse a login by themselves: nologin(8) and false(1) where distributions put them.
var noLoginShells = []string{"/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/nologin", "/bin/nologin", "/bin/false", "/usr/bin/false"}

// NoLogin reports whether a shell of passwd(5) refuses a login. An empty field is /bin/sh.
func NoLogin(shell string) bool { return slices.Contains(noLoginShells, shell) }

// rule5 reports fault 5, a scan account that is missing or was changed, or a directory that locks it out or lets others write.
type rule5 struct{}

func (rule5) ID() fault.ID { return 5 }

func (rule5) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	if !f.Found {
		return q.absent(f)
	}
	name := f.Connector.ScanAccount
	q.account(name, f.Host.Account)
	for _, d := range f.Host.Directories {
		q.directory(d, f.Host.Account.User)
	}
	return q.finding(fault.Text{
		EN: fmt.Sprintf("user and group %s are as they were made, and the directories as packaged", name),
		JA: fmt.Sprintf("ユーザーとグループ %s およびディレクトリは正常です", name),
	})
}

func (q *inquiry) account(name string, a host.AccountFacts) {
	group := q.group(name, a.Group)
	what := fault.Text{EN: "user " + name, JA: "ユーザー " + name}
	user, ok := known(q, what, a.User, "exists")
	if !ok {
		return
	}
	if user == nil {
		q.saw(what.EN, "does not exist", a.User.From, "exists")
		q.deviates(CauseUserMissing, fault.Text{EN: "the user " + name + " does not exist", JA: "ユーザー " + name + " が存在しません"})
		return
	}
	q.uid(name, user, a)
	q.shell(name, user, a.User.From)
	q.password(name, a.Password)
	q.primaryGroup(name, user, group, a)
	q.extraGroups(name, a.ExtraGroups)
	q.home(name, user, a.HomeOwner)
}

// group returns nil where the group does not exist or is not known.
func (q *inquiry) group(name string, r host.Reading[*host.Group]) *host.Group {
	what := fault.Text{EN: "group " + name, JA: "グループ " + name}
	group, ok := known(q, what, r, "exists")
	switch {
	case !ok:
	case group == nil:
		q.saw(what.EN, "does not exist", r.From, "exists")
		q.deviates(CauseGroupMissing, fault.Text{EN: "the group " + name + " does not exist", JA: "グループ " + name + " が存在しません"})
	default:
		q.saw(what.EN, "gid "+decimal(group.GID), r.From, "exists")
	}
	return group
}

func (q *inquiry) uid(name string, user *host.Account, a host.AccountFacts) {
	q.saw("uid of "+name, decimal(user.UID), a.User.From, "not 0, of no other account")
	if user.UID == 0 {
		q.deviates(CauseUIDZero, fault.Text{EN: name + " has uid 0, which is root", JA: name + " の UID が 0 (root) です"})
		return // that root has the same uid is the same deviation
	}
	others, ok := known(q, fault.Text{EN: "other accounts with the uid of " + name, JA: name + " と UID が重複する他のアカウント"}, a.SameUID, "none")
	if ok && len(others) > 0 {
		names := strings.Join(others, ", ")
		q.saw("other accounts with uid "+decimal(user.UID), names, a.SameUID.From, "none")
		q.deviates(CauseSharedUID, fault.Text{EN: name + " shares its uid with " + names, JA: name + " の UID が " + names + " と重複しています"})
	}
}

func (q *inquiry) shell(name string, user *host.Account, from string) {
	read := user.Shell
	if read == "" {
		read = "empty, which is /bin/sh"
	}
	q.saw("login shell of "+name, read, from, "/usr/sbin/nologin, or another that refuses a login")
	if !NoLogin(user.Shell) {
		q.deviates(CauseShell, fault.Text{EN: name + " has a login shell", JA: name + " にログインシェルが設定されています"})
	}
}

func (q *inquiry) password(name string, r host.Reading[host.Password]) {
	what := fault.Text{EN: "password of " + name, JA: name + " のパスワード"}
	p, ok := known(q, what, r, "locked, without expiry")
	if !ok {
		return
	}
	q.saw(what.EN, lockState(p), r.From, "locked")
	switch {
	case p.Empty:
		q.deviates(CausePassword, fault.Text{EN: name + " has an empty password: anyone may log in", JA: name + " のパスワードが空で、誰でもログインできます"})
	case !p.Locked:
		q.deviates(CausePassword, fault.Text{EN: "the password of " + name + " is not locked", JA: name + " のパスワードがロックされていません"})
	}
	if p.Expires {
		q.saw("expiry of "+name, "set", r.From, "none")
		q.deviates(CauseExpiry, fault.Text{EN: "the account " + name + " has an expiry date", JA: "アカウント " + name + " に有効期限が設定されています"})
	}
}

func lockState(p host.Password) string {
	switch {
	case p.Empty:
		return "empty"
	case p.Locked:
		return "locked"
	}
	return "set"
}

func (q *inquiry) primaryGroup(name string, user *host.Account, group *host.Group, a host.AccountFacts) {
	what := fault.Text{EN: "primary group of " + name, JA: name + " のプライマリグループ"}
	if a.Group.Err != nil {
		return // without the group's gid there is nothing to compare with, and that is recorded
	}
	read := "gid " + decimal(user.GID)
	switch {
	case a.PrimaryGroup.Err != nil:
		read += ", name not known: " + a.PrimaryGroup.Err.Error()
	case a.PrimaryGroup.Value == "":
		read += ", which has no name"
	default:
		read += " (" + a.PrimaryGroup.Value + ")"
	}
	q.saw(what.EN, read, a.User.From, name)
	switch {
	case group == nil || user.GID != group.GID:
		q.deviates(CausePrimaryGroup, fault.Text{EN: "the primary group of " + name + " is not " + name, JA: name + " のプライマリグループが " + name + " ではありません"})
	case group.GID == 0:
		q.deviates(CausePrimaryGroup, fault.Text{EN: "the group " + name + " has gid 0, which is root's", JA: "グループ " + name + " の GID が 0 (root) です"})
	}
}

func (q *inquiry) extraGroups(name string, r host.Reading[[]string]) {
	what := fault.Text{EN: "other groups of " + name, JA: name + " の追加の所属グループ"}
	groups, ok := known(q, what, r, "none")
	if !ok {
		return
	}
	read := strings.Join(groups, ", ")
	if read == "" {
		read = "none"
	}
	q.saw(what.EN, read, r.From, "none")
	if len(groups) > 0 {
		q.deviates(CauseExtraGroups, fault.Text{EN: name + " is also in " + read, JA: name + " が余分なグループ " + read + " に所属しています"})
	}
}

func (q *inquiry) home(name string, user *host.Account, r host.Reading[*uint32]) {
	what := fault.Text{EN: "owner of the home of " + name, JA: name + " のホームディレクトリの所有者"}
	const expected = "does not exist, or is owned by root or the user"
	owner, ok := known(q, what, r, expected)
	if !ok {
		return
	}
	if owner == nil {
		q.saw("home of "+name, user.Home+" does not exist", r.From, expected)
		return
	}
	q.saw(what.EN, "uid "+decimal(*owner)+" owns "+user.Home, r.From, expected)
	if *owner != 0 && *owner != user.UID {
		q.deviates(CauseHome, fault.Text{EN: "the home of " + name + " belongs to uid " + decimal(*owner), JA: name + " のホームディレクトリの所有者が UID " + decimal(*owner) + " です"})
	}
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
