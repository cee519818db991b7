package host

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
)

// IDKind is one of the two kinds of ids that accounts have.
type IDKind struct {
	database, file string
	first, last    string // keys of login.defs(5): the range of system accounts
	people, most   string // and of those that people log in with
}

// The two kinds.
var (
	UIDs = IDKind{"passwd", PasswdPath, "SYS_UID_MIN", "SYS_UID_MAX", "UID_MIN", "UID_MAX"}
	GIDs = IDKind{"group", GroupPath, "SYS_GID_MIN", "SYS_GID_MAX", "GID_MIN", "GID_MAX"}
)

func (k IDKind) String() string {
	if k.database == "group" {
		return "gid"
	}
	return "uid"
}

// IDBound is one end of a range of ids, and where it stands.
type IDBound struct {
	ID      int64
	Setting LoginSetting // Line is 0 where login.defs(5) does not set it
	// Bad says that what login.defs sets is no number; account tools take their built-in value then, and so does ID.
	Bad bool
}

// Text is the bound with its place.
func (b IDBound) Text() fault.Text {
	switch s := b.Setting; {
	case b.Bad:
		return fault.Text{
			EN: "%s %d (built in, since %q of %s, line %d, is no number)",
			JA: "%s %d (%[4]s の %[5]d 行目の %[3]q が数値ではないため組み込みの既定値)",
		}.With(s.Key, b.ID, s.Value, s.File, s.Line)
	case s.Line == 0:
		return fault.Text{EN: "%s %d (built in, since login.defs does not set it)", JA: "%s %d (login.defs に設定がないため組み込みの既定値)"}.With(s.Key, b.ID)
	default:
		return fault.Text{EN: "%s %s (%s, line %d)", JA: "%s %s (%s の %d 行目)"}.With(s.Key, s.Value, s.File, s.Line)
	}
}

// IDRange is the range of ids that account tools number system accounts from, and that of people's.
type IDRange struct {
	Kind         IDKind
	First, Last  IDBound // both belong to it
	People, Most IDBound // those of people
}

// maxID is the highest id; 4294967295 is -1, which is nobody's.
const maxID = 1<<32 - 2

// IDRangeOf reads a range, with the built-in values of shadow (find_new_uid.c, get_ranges: 101, and one below UID_MIN, which is 1000).
func IDRangeOf(k IDKind, defs Reading[*LoginSettings]) (IDRange, error) {
	if defs.Err != nil && !errors.Is(defs.Err, fs.ErrNotExist) {
		return IDRange{}, defs.Err
	}
	r := IDRange{Kind: k}
	r.People, r.Most = idBound(defs.Value, k.people, 1000), idBound(defs.Value, k.most, 60000)
	r.First, r.Last = idBound(defs.Value, k.first, 101), idBound(defs.Value, k.last, r.People.ID-1)
	return r, nil
}

func idBound(s *LoginSettings, key string, builtIn int64) IDBound {
	setting, set := s.Get(key)
	if !set {
		return IDBound{ID: builtIn, Setting: LoginSetting{Key: key}}
	}
	if n, ok := s.Number(key); ok {
		return IDBound{ID: n, Setting: setting}
	}
	return IDBound{ID: builtIn, Setting: setting, Bad: true}
}

// OfPeople reports whether an id is of the range that people's accounts get theirs from.
func (r IDRange) OfPeople(id uint32) bool { return r.People.ID <= int64(id) && int64(id) <= r.Most.ID }

// Overlaps reports whether system accounts would get ids of people's range too.
func (r IDRange) Overlaps() bool { return r.First.ID <= r.Most.ID && r.People.ID <= r.Last.ID }

// exhausted says that all ids of the range are taken, so many here and elsewhere.
func (r IDRange) exhausted(here, elsewhere int) error {
	kind := fault.Text{EN: r.Kind.String(), JA: strings.ToUpper(r.Kind.String())}
	words := noFreeID.With(here+elsewhere, kind, r.First.Text(), r.Last.Text(), here, r.Kind.file, elsewhere, r.People.Text())
	return &fault.Error{Text: words, Err: ErrNoFreeID}
}

// Check reports a range that has no id for a system account, with the lines that say so. It is ErrMalformed.
func (r IDRange) Check() error {
	for _, b := range []IDBound{r.First, r.Last} {
		if b.ID < 0 || b.ID > maxID {
			return &fault.Error{Text: noID.With(b.Text(), strconv.FormatInt(maxID, 10)), Err: ErrMalformed}
		}
	}
	switch {
	case r.First.ID > r.Last.ID:
		return &fault.Error{Text: turnedRound.With(r.First.Text(), r.Last.Text()), Err: ErrMalformed}
	case r.People.ID <= r.First.ID && r.Last.ID <= r.Most.ID:
		return &fault.Error{Text: allOfPeople.With(r.First.Text(), r.Last.Text(), r.People.Text(), r.Most.Text()), Err: ErrMalformed}
	}
	return nil
}

// What is wrong with ranges.
var (
	noID = fault.Text{
		EN: "%s is no id: 0 to %s expected; correct that line",
		JA: "%s は ID として無効です (0 から %s まで)。その行を修正してください",
	}
	turnedRound = fault.Text{
		EN: "the range of system accounts is turned round and has no id: %s is above %s; correct these lines",
		JA: "システムアカウントの ID 範囲の大小が逆のため、割り当て可能な ID がありません: %s が %s より大きくなっています。これらの行を修正してください",
	}
	allOfPeople = fault.Text{
		EN: "the range of system accounts, %s to %s, lies in that of people's accounts, %s to %s; correct these lines",
		JA: "システムアカウントの ID 範囲 (%s から %s) が一般アカウントの範囲 (%s から %s) の中にあります。これらの行を修正してください",
	}
)

// ErrNoFreeID is in the chain of errors about a range of ids of which none is free.
var ErrNoFreeID = errors.New("no free id")

// noFreeID says what is taken, and what a person can do.
var noFreeID = fault.Text{
	EN: "all %d system %ss from %s to %s are taken, %d of them in %s and %d by a directory service; give the range more ids (a lower minimum, " +
		"or a higher maximum below %s), or remove system accounts that nothing uses",
	JA: "システム %[2]s %[1]d 個 (%[3]s から %[4]s) がすべて使用中です (%[6]s で %[5]d 個、ディレクトリサービスで %[7]d 個)。範囲を広げる" +
		" (最小値を下げる、または最大値を %[8]s 未満の範囲で上げる) か、使われていないシステムアカウントを削除してください",
}
