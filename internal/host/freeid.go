package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// FreeID is the highest id of the range of system accounts that is free, and none of people's range whatever login.defs(5) says. Ids for
// which avoid says true are passed over as if they were taken. The error is ErrNoFreeID where all are taken, and ErrMalformed where the
// range has none; both name the lines. A file of settings that cannot be read at all is neither. A directory service that cannot be asked is not: shadow takes its silence for "free" too.
func FreeID(ctx context.Context, r Root, k IDKind, avoid func(uint32) bool) (uint32, error) {
	a := readAccounts(ctx, r)
	return a.freeID(k, LoginSettingsOf(r), avoid)
}

var errRangeUnknown = errors.New("the range of system ids is not known")

// batch is how many ids a directory service is asked for at once.
const batch = 64

func (a *accounts) freeID(k IDKind, defs Reading[*LoginSettings], avoid func(uint32) bool) (uint32, error) {
	span, err := IDRangeOf(k, defs)
	if err != nil { // of the file, not of the range: account tools get by with the lines that they can read
		return 0, fmt.Errorf("%w: %s", errRangeUnknown, err.Error())
	}
	if err := span.Check(); err != nil {
		return 0, err
	}
	used, err := a.used(k)
	if err != nil {
		return 0, err
	}
	var here, elsewhere int
	for id := span.Last.ID; id >= max(1, span.First.ID); {
		var free []uint32
		for ; id >= max(1, span.First.ID) && len(free) < batch; id-- {
			switch n := uint32(id); {
			case span.OfPeople(n):
				id = span.People.ID // and go on below it
			case used[n]:
				here++
			case avoid == nil || !avoid(n):
				free = append(free, n)
			}
		}
		taken := a.takenOf(k, free)
		for _, n := range free {
			if !slices.Contains(taken, n) {
				return n, nil
			}
		}
		elsewhere += len(taken)
	}
	return 0, span.exhausted(here, elsewhere)
}

// Unnamed gives those of some uids that no account has. Where a directory service cannot be asked, that is an error.
func Unnamed(ctx context.Context, r Root, uids []uint32) ([]uint32, error) {
	a := readAccounts(ctx, r)
	used, err := a.used(UIDs)
	unnamed := slices.DeleteFunc(slices.Clone(uids), func(id uint32) bool { return used[id] })
	if err != nil || len(unnamed) == 0 || len(a.services(UIDs.database)) == 0 {
		return unnamed, err
	}
	taken, err := a.taken(UIDs.database, unnamed)
	if err == nil {
		err = a.answer(UIDs.database)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(unnamed, func(id uint32) bool { return slices.Contains(taken, id) }), nil
}

// takenOf are those of some ids that a directory service gave away.
func (a *accounts) takenOf(k IDKind, ids []uint32) []uint32 {
	if len(ids) == 0 || len(a.services(k.database)) == 0 {
		return nil
	}
	taken, err := a.taken(k.database, ids)
	if err != nil {
		return nil
	}
	return taken
}

// used are the ids that the files give away.
func (a *accounts) used(k IDKind) (map[uint32]bool, error) {
	used := map[uint32]bool{}
	if k.database == "group" {
		for _, g := range a.group.Value.List {
			used[g.GID] = true
		}
		return used, a.group.Err
	}
	for _, u := range a.passwd.Value.List {
		used[u.UID] = true
	}
	return used, a.passwd.Err
}

// lookForIDs finds the ids that a missing user or group would get.
func (a *accounts) lookForIDs(f *AccountFacts) {
	look := func(k IDKind) Reading[uint32] {
		id, err := a.freeID(k, LoginSettingsOf(a.root), nil)
		return Reading[uint32]{Value: id, From: LoginDefsPath, Err: err}
	}
	if f.User.Known() && f.User.Value == nil {
		f.FreeUID = look(UIDs)
	}
	if f.Group.Known() && f.Group.Value == nil {
		f.FreeGID = look(GIDs)
	}
}
