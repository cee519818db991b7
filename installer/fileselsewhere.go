package installer

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// Where programs leave files beside the folders that are their own, and how much of it is looked at.
var otherPlaces = []string{"/tmp", "/var/tmp", "/dev/shm", "/run", "/var/spool"}

const (
	maxEntries = 2000 // of each place
	maxNamed   = 5    // files that are named
)

// elsewhereWords tell of files that a change of the uid leaves as they are.
var elsewhereWords = fault.Text{
	EN: "Files outside of the connector's folders are left as they are, since they may be somebody else's. Of uid %s there are at least: %s. See whose they are.",
	JA: "コネクタのディレクトリ以外にあるファイルは、他者のものである可能性があるため変更しません。UID %s のファイルには少なくとも次のものがあります: %s。所有者を確認してください。",
}

// filesElsewhere tells of files of the account's uid in other places, where a step gives it another one; of one that has root's uid,
// those of nobody.
func filesElsewhere(r host.Root, a host.AccountFacts, items []Item) []Item {
	changes := slices.ContainsFunc(items, func(i Item) bool {
		s, ok := i.Step.(*UserRepair)
		return ok && (s.Cause == health.CauseUIDZero || s.Cause == health.CauseSharedUID)
	})
	if !changes {
		return nil
	}
	found := map[uint32][]string{}
	for _, place := range otherPlaces {
		left := maxEntries
		ownersIn(r, place, &left, found)
	}
	uids, command := []uint32{a.User.Value.UID}, "find / -xdev -uid "+decimal(a.User.Value.UID)+" -ls"
	if uids[0] == 0 {
		var all []uint32
		for uid := range found {
			all = append(all, uid)
		}
		uids, _ = host.Unnamed(context.Background(), r, all) // where that is not known, nothing is told
		command = "find / -xdev -nouser -ls"
	}
	slices.Sort(uids)
	var owners, names []string
	for _, uid := range uids {
		if len(found[uid]) > 0 {
			owners, names = append(owners, decimal(uid)), append(names, found[uid]...)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Item{{Manual: elsewhereWords.With(strings.Join(owners, ", "), strings.Join(names[:min(len(names), maxNamed)], ", ")), Commands: []string{command}}}
}

// ownersIn adds files of one place by uid. What cannot be looked at is passed over, and so are the folders that a program has a link to.
func ownersIn(r host.Root, dir string, left *int, found map[uint32][]string) {
	entries, err := r.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if *left--; *left < 0 {
			return
		}
		full := path.Join(dir, e.Name())
		fi, err := e.Info()
		if err != nil {
			continue
		}
		if uid := fi.Sys().(*syscall.Stat_t).Uid; len(found[uid]) < maxNamed {
			found[uid] = append(found[uid], ShellWord(full))
		}
		if fi.Mode()&fs.ModeType == fs.ModeDir {
			ownersIn(r, full, left, found)
		}
	}
}
