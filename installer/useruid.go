package installer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// maxOwners bounds how many files of nobody a step takes over; the journal names each.
const maxOwners = 1000

// recordUID chooses the uid that the account gets, and notes which files below the connector's folders will be its own beside those of the
// uid that it has. The account that has been given root's uid, or another's, left those of its former uid to nobody: nobody else than root
// and the account ever owns files there. Where it is plain which uid that was, the account gets it back, and no file has to move.
func (s *UserRepair) recordUID(ctx context.Context, h *Host) error {
	owners := map[uint32][]string{}
	err := walkOwned(ctx, h, func(f ownedFile) error {
		owners[f.uid] = append(owners[f.uid], f.path)
		return nil
	})
	if err != nil {
		return err
	}
	var uids []uint32
	for uid := range owners {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	orphans, err := host.Unnamed(ctx, h.Root, uids)
	if err != nil { // a directory service does not tell whether they are somebody's: then they are left
		h.Log.WarnContext(ctx, "owners of files cannot be told", "uids", uids, "error", err)
		orphans = nil
	}
	if s.NewUID, err = formerUID(h, orphans); err != nil || s.NewUID == 0 {
		s.NewUID, err = host.FreeID(ctx, h.Root, host.UIDs, func(uid uint32) bool { return owners[uid] != nil })
	}
	if err != nil {
		return err
	}
	s.Owners = map[string]uint32{}
	for _, uid := range append(orphans, s.NewUID) {
		for _, path := range owners[uid] {
			s.Owners[path] = uid
		}
	}
	if len(s.Owners) > maxOwners {
		return fmt.Errorf("%d files below %s belong to no account, at most %d expected: see whose they are (find %[2]s -nouser) and give them to an account",
			len(s.Owners), strings.Join(ownedDirectories, " "), maxOwners)
	}
	return nil
}

// formerUID is the uid that the account had, if its files tell one alone; 0 if they do not.
func formerUID(h *Host, orphans []uint32) (uint32, error) {
	if len(orphans) != 1 {
		return 0, nil
	}
	span, err := host.IDRangeOf(host.UIDs, host.LoginSettingsOf(h.Root))
	if uid := orphans[0]; err == nil && span.First.ID <= int64(uid) && int64(uid) <= span.Last.ID && !span.OfPeople(uid) {
		return uid, nil
	}
	return 0, err
}

func (s *UserRepair) uidCommands() []string {
	c := []string{s.uidField().command(decimal(s.NewUID))}
	var from []uint32
	if s.Account.UID != 0 {
		from = append(from, s.Account.UID)
	}
	for _, uid := range s.Owners {
		if uid != s.NewUID && !slices.Contains(from, uid) {
			from = append(from, uid)
		}
	}
	slices.Sort(from)
	for _, uid := range from {
		c = append(c, fmt.Sprintf("find %s -uid %d -exec chown -h %d {} +", strings.Join(ownedDirectories, " "), uid, s.NewUID))
	}
	return c
}

// changeUID gives a new uid and moves the ownership of the account's files. Those of root stay root's, whoever had its uid too.
func changeUID(ctx context.Context, h *Host, s *UserRepair) error {
	if err := s.uidField().write(ctx, h, decimal(s.NewUID)); err != nil {
		return err
	}
	killpoint("uid-changed")
	err := walkOwned(ctx, h, func(f ownedFile) error {
		before, noted := s.Owners[f.path]
		if f.uid == 0 || f.uid != s.Account.UID && !(noted && before == f.uid) {
			return nil
		}
		return f.give(ctx, h, s.NewUID)
	})
	return orElse(err, syncOwned(h))
}

// restoreUID gives each file back to the uid that it had.
func restoreUID(ctx context.Context, h *Host, s *UserRepair) error {
	if s.NewUID == 0 {
		return nil
	}
	err := walkOwned(ctx, h, func(f ownedFile) error {
		before, noted := s.Owners[f.path]
		if !noted {
			before = s.Account.UID
		}
		if f.uid != s.NewUID || before == 0 {
			return nil
		}
		return f.give(ctx, h, before)
	})
	if err := orElse(err, syncOwned(h)); err != nil {
		return err
	}
	return s.uidField().restore(ctx, h, decimal(s.Account.UID))
}
