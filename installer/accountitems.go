package installer

import (
	"fmt"
	"io/fs"
	"strings"

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
	var items []Item
	groupMissing := a.Group.Err != nil || a.Group.Value == nil
	userMissing := a.User.Err != nil || a.User.Value == nil
	if groupMissing {
		// A tool that makes no group can still make one together with the user: only then is its failure not the end.
		items = append(items, Item{Step: &Group{Name: name}, Optional: userMissing, Packages: toolPackages(f, "groupadd")})
	}
	if userMissing {
		items = append(items, Item{Packages: toolPackages(f, "useradd"), Step: &User{
			Name: name, Group: name, Shell: shell, Comment: accountComment, GroupMade: groupMissing && a.Group.Err == nil,
		}})
	}
	if !userMissing {
		items = append(items, repairItems(f, a, &UserRepair{Name: name, Group: name, Shell: shell})...)
	}
	if len(items) == 0 {
		return nil
	}
	return append([]Item{{Step: &AccountLocks{}}}, items...)
}

// repairItems are a step for each deviation, in order.
func repairItems(f *health.Facts, a host.AccountFacts, as *UserRepair) []Item {
	var items []Item
	var remote []string
	for _, cause := range repairOrder {
		d := deviations[cause]
		s := *as
		s.Cause = cause
		unknown := d.known != nil && d.known(a) != nil
		switch {
		case a.User.Value.From == host.FromNSS:
			if !unknown && d.present(&s, a) && (cause != health.CausePrimaryGroup || a.Group.Value != nil) {
				remote = append(remote, s.Title())
			}
		case unknown || d.present(&s, a):
			items = append(items, Item{Step: &s, Packages: toolPackages(f, "usermod")})
		}
	}
	if len(remote) > 0 {
		items = append(items, Item{Manual: fmt.Sprintf("%s comes from a directory service (%s). Change it there: %s.",
			as.Name, a.User.From, strings.Join(remote, "; "))})
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
// directory that is as it should be has none.
func DirectoryItems(f *health.Facts) []Item {
	var items []Item
	for _, d := range f.Host.Directories {
		if !directoryFits(d) {
			items = append(items, Item{Step: &Directory{Path: d.Want.Path, Mode: d.Want.Mode, Owner: d.Want.Owner, Group: d.Want.Group}})
		}
	}
	return items
}

// directoryFits reports whether a directory is known to be as packaged.
func directoryFits(d host.DirectoryFact) bool {
	s := d.State.Value
	return d.State.Err == nil && s != nil && s.IsDir && !s.Symlink && d.WantUID.Err == nil && d.WantGID.Err == nil &&
		s.UID == d.WantUID.Value && s.GID == d.WantGID.Value && s.Mode&^fs.ModeDir == d.Want.Mode
}
