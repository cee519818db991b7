package health

import (
	"errors"
	"fmt"
	"io/fs"
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
	CausePeoplesUID   = "peoples-uid" // of a directory service's account alone: useradd may give it to somebody here
	CauseShell        = "shell"
	CausePassword     = "password"
	CauseExpiry       = "expiry"
	CausePrimaryGroup = "primary-group"
	CauseExtraGroups  = "extra-groups"
	CauseHome         = "home"
	CauseDirectory    = "directory:"
	CauseAsRoot       = "as-root"       // the scan process runs as root
	CauseOtherUser    = "other-user"    // it runs as another user or group than the account's
	CauseProcessGroup = "process-group" // it has further groups
	CauseCapable      = "capable"       // it has capabilities
)

// rule5 reports fault 5: a scan account that is missing or was changed, a directory that locks it out or lets others write, or a scan
// process that has other rights than the account's.
type rule5 struct{}

func (rule5) ID() fault.ID { return 5 }

func (rule5) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	if !f.Found {
		return q.absent(f)
	}
	name := f.Connector.ScanAccount
	q.account(name, f.Host.Account, f.Host.LoginDefs)
	q.freeIDs(f.Host.Account)
	q.userGroups(f.Host.LoginDefs)
	for _, d := range f.Host.Directories {
		q.directory(d, f.Host.Account.User)
		q.changed(d.Want.Path, f.Changes)
	}
	q.scanProcess(f)
	return q.finding(fault.Text{
		EN: fmt.Sprintf("user and group %s are as they were made, and the directories as packaged", name),
		JA: fmt.Sprintf("ユーザーとグループ %s およびディレクトリは正常です", name),
	})
}

func (q *inquiry) account(name string, a host.AccountFacts, defs host.Reading[*host.LoginSettings]) {
	group := q.group(name, a.Group)
	what := fault.Text{EN: "user " + name, JA: "ユーザー " + name}
	user, ok := known(q, what, a.User, wordExists)
	if !ok {
		return
	}
	if user == nil {
		q.saw(what, wordAbsent, a.User.From, wordExists)
		q.deviates(CauseUserMissing, fault.Text{EN: "the user " + name + " does not exist", JA: "ユーザー " + name + " が存在しません"})
		return
	}
	q.uid(name, user, a)
	q.peoplesUID(name, user, a.User.From, defs)
	q.shell(name, user, a.User.From)
	q.password(name, a.Password)
	q.primaryGroup(name, user, group, a)
	q.extraGroups(name, a.ExtraGroups)
	q.home(name, user, a.HomeOwner)
}

// groupCauses are what a plain useradd -r under USERGROUPS_ENAB no can bring about.
var groupCauses = []string{CauseUserMissing, CauseGroupMissing, CausePrimaryGroup}

// userGroups adds what login.defs(5) says of groups of a user's own, where the group is wrong. It is context, and decides nothing.
func (q *inquiry) userGroups(r host.Reading[*host.LoginSettings]) {
	if !slices.ContainsFunc(q.causes, func(c string) bool { return slices.Contains(groupCauses, c) }) {
		return
	}
	key := fault.Verbatim("USERGROUPS_ENAB")
	s, set := r.Value.Get(key.EN)
	switch {
	case errors.Is(r.Err, fs.ErrNotExist):
		q.saw(key, fault.Text{EN: "not set, which means no: there is no login.defs", JA: "未設定 (no と同じ): login.defs がありません"}, r.From, fault.Text{})
	case r.Err != nil:
		q.saw(key, wordUnread.With(r.Err), r.From, fault.Text{})
	case !set:
		q.saw(key, fault.Text{EN: "not set, which means no", JA: "未設定 (no と同じ)"}, r.From, fault.Text{})
	default:
		q.saw(key, fault.Verbatim(s.Value), fmt.Sprintf("%s, line %d", s.File, s.Line), fault.Text{})
	}
}

// group returns nil where the group does not exist or is not known.
func (q *inquiry) group(name string, r host.Reading[*host.Group]) *host.Group {
	what := fault.Text{EN: "group " + name, JA: "グループ " + name}
	group, ok := known(q, what, r, wordExists)
	switch {
	case !ok:
	case group == nil:
		q.saw(what, wordAbsent, r.From, wordExists)
		q.deviates(CauseGroupMissing, fault.Text{EN: "the group " + name + " does not exist", JA: "グループ " + name + " が存在しません"})
	default:
		q.saw(what, fault.Verbatim("gid "+decimal(group.GID)), r.From, wordExists)
	}
	return group
}

func (q *inquiry) uid(name string, user *host.Account, a host.AccountFacts) {
	q.saw(fault.Text{EN: "uid of " + name, JA: name + " の UID"}, fault.Verbatim(decimal(user.UID)), a.User.From,
		fault.Text{EN: "not 0, of no other account", JA: "0 以外で、他のアカウントと重複しないこと"})
	if user.UID == 0 {
		q.deviates(CauseUIDZero, fault.Text{EN: name + " has uid 0, which is root", JA: name + " の UID が 0 (root) です"})
		return // that root has the same uid is the same deviation
	}
	others, ok := known(q, fault.Text{EN: "other accounts with the uid of " + name, JA: name + " と UID が重複する他のアカウント"}, a.SameUID, wordNone)
	if ok && len(others) > 0 {
		names := strings.Join(others, ", ")
		q.saw(fault.Text{EN: "other accounts with uid %s", JA: "UID %s を持つ他のアカウント"}.With(decimal(user.UID)), fault.Verbatim(names), a.SameUID.From, wordNone)
		q.deviates(CauseSharedUID, fault.Text{EN: name + " shares its uid with " + names, JA: name + " の UID が " + names + " と重複しています"})
	}
}

// peoplesUID judges the uid of an account that only a directory service has. The files do not keep it from anybody: while the service is
// down, useradd(8) takes a uid of that range for free. One that the files have is kept by them.
func (q *inquiry) peoplesUID(name string, user *host.Account, from string, defs host.Reading[*host.LoginSettings]) {
	if user.From != host.FromNSS || user.UID == 0 {
		return
	}
	span, err := host.IDRangeOf(host.UIDs, defs)
	what := fault.Text{EN: "range of people's uids", JA: "一般アカウントの UID 範囲"}
	if err != nil {
		q.missing(what, defs.From, onlyContext, err)
		return
	}
	least, most := span.People.Text(), span.Most.Text()
	q.saw(what, fault.Text{EN: "%s to %s", JA: "%s から %s"}.With(least, most), defs.From, fault.Text{EN: "the uid of %s is not in it", JA: "%s の UID を含まないこと"}.With(name))
	if span.OfPeople(user.UID) {
		q.deviates(CausePeoplesUID, fault.Text{
			EN: name + " comes from a directory service (" + from + ") and has uid " + decimal(user.UID) + ", which this host may give to a person's account",
			JA: name + " はディレクトリサービス (" + from + ") のアカウントですが、UID " + decimal(user.UID) + " はこのホストで一般アカウントに割り当てられる可能性があります",
		})
	}
}

// freeIDs shows why a missing user or group can have no id. It decides nothing: that it is missing did.
func (q *inquiry) freeIDs(a host.AccountFacts) {
	for _, r := range []struct {
		what fault.Text
		id   host.Reading[uint32]
	}{
		{fault.Text{EN: "free system uid", JA: "割り当て可能なシステム UID"}, a.FreeUID},
		{fault.Text{EN: "free system gid", JA: "割り当て可能なシステム GID"}, a.FreeGID},
	} {
		if r.id.Err != nil {
			q.saw(r.what, fault.ErrorText(r.id.Err), r.id.From, wordExists)
		}
	}
}

func (q *inquiry) shell(name string, user *host.Account, from string) {
	read := fault.Verbatim(user.Shell)
	if user.Shell == "" {
		read = fault.Text{EN: "empty, which is /bin/sh", JA: "空 (/bin/sh と同じ)"}
	}
	q.saw(fault.Text{EN: "login shell of " + name, JA: name + " のログインシェル"}, read, from,
		fault.Text{EN: "/usr/sbin/nologin, or another that refuses a login", JA: "/usr/sbin/nologin など、ログインを拒否するもの"})
	if !host.NoLogin(user.Shell) {
		q.deviates(CauseShell, fault.Text{EN: name + " has a login shell", JA: name + " にログインシェルが設定されています"})
	}
}

func (q *inquiry) password(name string, r host.Reading[host.Password]) {
	what := fault.Text{EN: "password of " + name, JA: name + " のパスワード"}
	p, ok := known(q, what, r, fault.Text{EN: "locked, without expiry", JA: "ロック済み、有効期限なし"})
	if !ok {
		return
	}
	q.saw(what, lockState(p), r.From, wordLocked)
	switch {
	case p.Empty:
		q.deviates(CausePassword, fault.Text{EN: name + " has an empty password: anyone may log in", JA: name + " のパスワードが空で、誰でもログインできます"})
	case !p.Locked:
		q.deviates(CausePassword, fault.Text{EN: "the password of " + name + " is not locked", JA: name + " のパスワードがロックされていません"})
	}
	if p.Expires {
		q.saw(fault.Text{EN: "expiry of " + name, JA: name + " の有効期限"}, wordSet, r.From, wordNone)
		q.deviates(CauseExpiry, fault.Text{EN: "the account " + name + " has an expiry date", JA: "アカウント " + name + " に有効期限が設定されています"})
	}
}

var (
	wordLocked = fault.Text{EN: "locked", JA: "ロック済み"}
	wordSet    = fault.Text{EN: "set", JA: "設定あり"}
)

func lockState(p host.Password) fault.Text {
	switch {
	case p.Empty:
		return fault.Text{EN: "empty", JA: "空"}
	case p.Locked:
		return wordLocked
	}
	return wordSet
}

func (q *inquiry) primaryGroup(name string, user *host.Account, group *host.Group, a host.AccountFacts) {
	what := fault.Text{EN: "primary group of " + name, JA: name + " のプライマリグループ"}
	if a.Group.Err != nil {
		return // without the group's gid there is nothing to compare with, and that is recorded
	}
	gid := "gid " + decimal(user.GID)
	read := fault.Verbatim(gid + " (" + a.PrimaryGroup.Value + ")")
	switch {
	case a.PrimaryGroup.Err != nil:
		read = fault.Text{EN: "%s, name not known: %v", JA: "%s、名前は不明: %v"}.With(gid, a.PrimaryGroup.Err)
	case a.PrimaryGroup.Value == "":
		read = fault.Text{EN: "%s, which has no name", JA: "%s (該当する名前なし)"}.With(gid)
	}
	q.saw(what, read, a.User.From, fault.Verbatim(name))
	switch {
	case group == nil || user.GID != group.GID:
		q.deviates(CausePrimaryGroup, fault.Text{EN: "the primary group of " + name + " is not " + name, JA: name + " のプライマリグループが " + name + " ではありません"})
	case group.GID == 0:
		q.deviates(CausePrimaryGroup, fault.Text{EN: "the group " + name + " has gid 0, which is root's", JA: "グループ " + name + " の GID が 0 (root) です"})
	}
}

func (q *inquiry) extraGroups(name string, r host.Reading[[]string]) {
	what := fault.Text{EN: "other groups of " + name, JA: name + " の追加の所属グループ"}
	groups, ok := known(q, what, r, wordNone)
	if !ok {
		return
	}
	if len(groups) == 0 {
		q.saw(what, wordNone, r.From, wordNone)
		return
	}
	read := strings.Join(groups, ", ")
	q.saw(what, fault.Verbatim(read), r.From, wordNone)
	q.deviates(CauseExtraGroups, fault.Text{EN: name + " is also in " + read, JA: name + " が余分なグループ " + read + " に所属しています"})
}

func (q *inquiry) home(name string, user *host.Account, r host.Reading[*uint32]) {
	what := fault.Text{EN: "owner of the home of " + name, JA: name + " のホームディレクトリの所有者"}
	expected := fault.Text{EN: "does not exist, or is owned by root or the user", JA: "存在しないか、root またはこのユーザーが所有すること"}
	owner, ok := known(q, what, r, expected)
	if !ok {
		return
	}
	if owner == nil {
		q.saw(fault.Text{EN: "home of " + name, JA: name + " のホームディレクトリ"},
			fault.Text{EN: "%s does not exist", JA: "%s は存在しません"}.With(user.Home), r.From, expected)
		return
	}
	q.saw(what, fault.Text{EN: "uid %s owns %s", JA: "%[2]s の所有者は UID %[1]s です"}.With(decimal(*owner), user.Home), r.From, expected)
	if *owner != 0 && *owner != user.UID {
		q.deviates(CauseHome, fault.Text{EN: "the home of " + name + " belongs to uid " + decimal(*owner), JA: name + " のホームディレクトリの所有者が UID " + decimal(*owner) + " です"})
	}
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
