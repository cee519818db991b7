package installer

import (
	"slices"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// An account of a directory service is used as it is, and no local one is made of its name: who asks the files first would get that one.

// What is changed in a directory service, by a person.
var (
	changeRemote = fault.Text{
		EN: "%s comes from a directory service (%s). Change it there: %s.",
		JA: "%s はディレクトリサービスのアカウントです (%s)。次の変更をディレクトリサービス側で行ってください: %s。",
	}
	changeInService = fault.Text{
		EN: "A directory service decides this (%s). Change it there: %s.",
		JA: "これはディレクトリサービスが決定しています (%s)。次の変更をディレクトリサービス側で行ってください: %s。",
	}
	groupAnotherGID = fault.Text{EN: "give the group %s a system gid instead of 0", JA: "グループ %s の GID の変更 (0 からシステム GID へ)"}
	outOfGroups     = fault.Text{EN: "take %s out of %s", JA: "%[2]s からの %[1]s の削除"}
	systemUID       = fault.Text{EN: "give it a uid that is none of people's here, instead of %d", JA: "UID %d の変更 (このホストの一般アカウントの範囲外の UID へ)"}
	primaryGID      = fault.Text{EN: "make gid %d (group %s) its primary group, instead of gid %d%s", JA: "プライマリグループの変更 (GID %[3]d%[4]s から GID %[1]d (グループ %[2]s) へ)"}
	makeGroup       = fault.Text{EN: "make a group %s there and make it its primary group, instead of gid %d%s", JA: "グループ %s の作成とプライマリグループの変更 (GID %d%s から)"}
	fromLocalGroup  = fault.Text{EN: "%s is in the group %s, which is of this host's own files. Take it out.", JA: "%s がこのホストのファイルにあるグループ %s に所属しています。グループから削除してください。"}
)

func changeThere(from string, what fault.Text) Item {
	return Item{Manual: changeInService.With(from, what)}
}

// groupOfRemote gives the primary gid of a directory service's user its name, where nobody has that gid. A group of another name has it
// otherwise, and is not taken from its members.
func groupOfRemote(f *health.Facts, a host.AccountFacts) []Item {
	u := a.User.Value
	switch {
	case !a.PrimaryGroup.Known():
		return []Item{{Manual: fault.Text{
			EN: "It is not known which group has gid %d, the primary one of %s: %v.", JA: "%[2]s のプライマリグループ GID %[1]d の名前は不明です: %[3]v。",
		}.With(u.GID, u.Name, ErrorText(a.PrimaryGroup.Err))}}
	case a.PrimaryGroup.Value == "" && u.GID != 0:
		return []Item{{Step: &Group{Name: a.Name, GID: u.GID}, Packages: toolPackages(f, "groupadd")}}
	}
	return nil // remoteItems tell what is to be changed
}

// remoteItems say what is in the way of using an account of a directory service.
func remoteItems(f *health.Facts, a host.AccountFacts) []Item {
	var there []fault.Text
	u := a.User.Value
	if span, err := host.IDRangeOf(host.UIDs, f.Host.LoginDefs); err == nil && span.OfPeople(u.UID) {
		there = append(there, systemUID.With(u.UID))
	}
	for _, cause := range repairOrder {
		d := deviations[cause]
		s := UserRepair{Name: a.Name, Group: a.Name, Cause: cause}
		if d.known != nil && d.known(a) != nil || !d.present(&s, a) {
			continue
		}
		switch {
		case cause == health.CauseExtraGroups: // by who decides it, below
		case cause != health.CausePrimaryGroup:
			there = append(there, s.Title())
		case a.Group.Value != nil && a.Group.Value.GID != 0:
			there = append(there, primaryGID.With(a.Group.Value.GID, a.Name, u.GID, called(a)))
		case a.Group.Value != nil:
			there = append(there, groupAnotherGID.With(a.Name))
		case a.PrimaryGroup.Known() && (a.PrimaryGroup.Value != "" || u.GID == 0):
			there = append(there, makeGroup.With(a.Name, u.GID, called(a)))
		}
	}
	if len(a.DirectoryGroups) > 0 {
		there = append(there, outOfGroups.With(a.Name, fault.Join(verbatim(a.DirectoryGroups), fault.Verbatim(", "))))
	}
	var items []Item
	if len(there) > 0 {
		items = append(items, Item{Manual: changeRemote.With(a.Name, a.User.From, fault.Join(there, fault.Text{EN: "; ", JA: "、"}))})
	}
	for _, group := range a.ExtraGroups.Value {
		if !slices.Contains(a.DirectoryGroups, group) {
			items = append(items, Item{Manual: fromLocalGroup.With(a.Name, group), Commands: []string{commandLine("gpasswd", []string{"-d", a.Name, group})}})
		}
	}
	return items
}

// called is the name of the user's primary group, in parentheses, if it is known.
func called(a host.AccountFacts) fault.Text {
	if a.PrimaryGroup.Value == "" {
		return fault.Text{}
	}
	return fault.Verbatim(" (" + a.PrimaryGroup.Value + ")")
}

func verbatim(words []string) []fault.Text {
	texts := make([]fault.Text, len(words))
	for i, w := range words {
		texts[i] = fault.Verbatim(w)
	}
	return texts
}
