package installer

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// accountComment is the comment field (GECOS) of the scan account.
const accountComment = "Cisco Secure Endpoint scan service"

// AccountItems are the items that make the scan account as it should be: made where it is missing, repaired where it was changed.
// An account that is as it should be has none. What could not be read is decided when the step comes to it. An account of a
// directory service is used if it fits; what does not fit is changed there, by a person.
func AccountItems(f *health.Facts) []Item {
	a := f.Host.Account
	name := f.Connector.ScanAccount
	family := f.Host.Distribution.Value.Family
	shell := loginRefusing(host.At(f.Host.Root), family)
	if manual := noIDItems(a); len(manual) > 0 {
		return manual
	}
	var items []Item
	groupMissing := a.Group.Err != nil || a.Group.Value == nil
	userMissing := a.User.Err != nil || a.User.Value == nil
	ofService := !userMissing && a.User.Value.From == host.FromNSS
	switch {
	case ofService && a.Group.Known() && a.Group.Value == nil:
		items = append(items, groupOfRemote(f, a)...)
	case groupMissing:
		// A tool that makes no group can still make one together with the user: only then is its failure not the end.
		items = append(items, Item{Step: &Group{Name: name}, Optional: userMissing, Packages: toolPackages(f, "groupadd")})
	}
	switch {
	case userMissing:
		items = append(items, Item{Packages: toolPackages(f, "useradd"), Step: &User{
			Name: name, Group: name, Shell: shell, Comment: accountComment, GroupMade: groupMissing && a.Group.Err == nil,
		}})
	case ofService:
		items = append(items, remoteItems(f, a)...)
	default:
		items = append(items, repairItems(f, a, &UserRepair{Name: name, Group: name, Shell: shell})...)
	}
	if steps := slices.ContainsFunc(items, func(i Item) bool { return i.Step != nil }); !steps {
		return items
	}
	return append([]Item{{Step: &AccountLocks{}}}, items...)
}

// noIDItems say what a person does where a missing user or group can have no id. An account tool would only fail, and one that goes on
// elsewhere than in that range would make an account that is no system account.
func noIDItems(a host.AccountFacts) []Item {
	var reasons []fault.Text
	for _, err := range []error{a.FreeGID.Err, a.FreeUID.Err} {
		if words := fault.ErrorText(orElse(err, ErrNoFreeID)); noID(err) && !slices.Contains(reasons, words) {
			reasons = append(reasons, words)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return []Item{{
		Manual: fault.Text{EN: "No system account can be made: %s. Then have the account made.", JA: "システムアカウントを作成できません: %s。その後、アカウントを作成してください。"}.
			With(fault.Join(reasons, fault.Text{EN: "; ", JA: "。"})),
		Commands: []string{"grep -nE '^[[:space:]]*(SYS_)?[UG]ID_M' " + host.LoginDefsPath, "getent passwd | sort -t: -k3,3n", "getent group | sort -t: -k3,3n", "amp-remediate 5"},
	}}
}

// repairItems are a step for each deviation, in order. What a directory service decides is changed there.
func repairItems(f *health.Facts, a host.AccountFacts, as *UserRepair) []Item {
	var items []Item
	for _, cause := range repairOrder {
		d := deviations[cause]
		s := *as
		s.Cause = cause
		switch unknown := d.known != nil && d.known(a) != nil; {
		case !unknown && !d.present(&s, a):
		case !unknown && cause == health.CausePrimaryGroup && a.Group.Value != nil && a.Group.Value.From == host.FromNSS && a.Group.Value.GID == 0:
			items = append(items, changeThere(a.Group.From, groupAnotherGID.With(as.Group)))
		default:
			items = append(items, Item{Step: &s, Packages: toolPackages(f, "usermod")})
		}
	}
	items = append(items, filesElsewhere(host.At(f.Host.Root), a, items)...)
	if len(a.DirectoryGroups) > 0 {
		items = append(items, changeThere(a.ExtraGroups.From, outOfGroups.With(as.Name, strings.Join(a.DirectoryGroups, ", "))))
	}
	return items
}

// toolPackages is the package that has an account tool, where this host lacks the tool.
func toolPackages(f *health.Facts, tool string) []string {
	if _, ok := host.FindTool(host.At(f.Host.Root), tool); ok {
		return nil
	}
	if pkg, ok := host.PackageOf(f.Host.Distribution.Value, tool); ok {
		return []string{pkg}
	}
	return nil
}

// DirectoryItems are the items that give the connector's directories back the mode and owner that they were packaged with. A
// directory that is as it should be has none. Something else in a directory's place is left to a person, and nothing is tried below it.
func DirectoryItems(f *health.Facts) []Item {
	var items []Item
	occupied := map[string]bool{}
	for _, d := range f.Host.Directories {
		if occupied[d.Want.Path] = occupied[path.Dir(d.Want.Path)]; occupied[d.Want.Path] {
			continue
		}
		words, commands := inTheWay(d)
		switch {
		case words != (fault.Text{}):
			occupied[d.Want.Path] = true
			items = append(items, Item{Manual: words, Commands: commands})
		case !directoryFits(d):
			items = append(items, Item{Step: &Directory{Path: d.Want.Path, Mode: d.Want.Mode, Owner: d.Want.Owner, Group: d.Want.Group}})
		}
	}
	return items
}

// What only a person can do about something that is in a directory's place.
var (
	linkInTheWay = fault.Text{
		EN: "%s is a symbolic link, and the connector needs a directory there. It follows no link: whoever can change the link could have other files " +
			"changed through it. See where it leads and move what is of use; then remove the link and have the directory made. To keep the data on another file system, mount that " +
			"one there (mount --bind) instead of the link.",
		JA: "%s はシンボリックリンクですが、コネクタにはこの場所にディレクトリが必要です。リンクを変更できる者が他のファイルを変更させることを防ぐため、コネクタはリンクをたどりません。" +
			"リンク先を確認して必要なデータを移動してからリンクを削除し、ディレクトリを作成してください。データを別のファイルシステムに置く場合は、リンクの代わりにバインドマウント (mount --bind) を使用してください。",
	}
	fileInTheWay = fault.Text{
		EN: "%s is not a directory, and the connector needs one there. Move it away, and have the directory made.",
		JA: "%s はディレクトリではありませんが、コネクタにはこの場所にディレクトリが必要です。現在のファイルを別の場所に移動し、ディレクトリを作成してください。",
	}
)

// inTheWay says what a person does about something else in a directory's place; no words where there is nothing else.
func inTheWay(d host.DirectoryFact) (words fault.Text, commands []string) {
	name, state := d.Want.Path, d.State.Value
	const mend = "amp-remediate 5"
	switch {
	case d.State.Err != nil || state == nil:
	case state.Symlink:
		return linkInTheWay.With(name), []string{"ls -ld " + name, "rm " + name, mend}
	case !state.IsDir:
		return fileInTheWay.With(name), []string{"mv -n " + name + " " + name + ".aside", mend}
	}
	return words, nil
}

// directoryFits reports whether a directory is known to be as packaged.
func directoryFits(d host.DirectoryFact) bool {
	s := d.State.Value
	return d.State.Err == nil && s != nil && s.IsDir && !s.Symlink && d.WantUID.Err == nil && d.WantGID.Err == nil &&
		s.UID == d.WantUID.Value && s.GID == d.WantGID.Value && s.Mode&^fs.ModeDir == d.Want.Mode
}
