package host

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// The account files.
const (
	PasswdPath  = "/etc/passwd"
	GroupPath   = "/etc/group"
	ShadowPath  = "/etc/shadow"
	GShadowPath = "/etc/gshadow"
)

// altfiles is where nss-altfiles looks: rpm-ostree keeps the accounts of the image there.
const (
	altPasswdPath = "/usr/lib/passwd"
	altGroupPath  = "/usr/lib/group"
)

// accounts is the host's account files, and who to ask for what they do not hold.
type accounts struct {
	root      Root
	getent    asker
	elsewhere asker                                                 // of the services alone, not of the files
	answers   func(service, database, key string) error             // whether a service does; key is one that the files have
	taken     func(database string, ids []uint32) ([]uint32, error) // by the services, of ids
	answered  map[string]error                                      // what the services of a database did when they were asked
	nss       Reading[Nsswitch]
	passwd    Reading[Records[Account]]
	group     Reading[Records[Group]]
}

func readAccounts(ctx context.Context, r Root) *accounts {
	a := &accounts{root: r, nss: nsswitch(r), answered: map[string]error{}}
	a.askName(ctx)
	a.passwd = readRecords(r, PasswdPath, ParsePasswd)
	a.group = readRecords(r, GroupPath, ParseGroup)
	if a.nss.Value.Has("passwd", "altfiles") {
		a.passwd = withMore(a.passwd, readRecords(r, altPasswdPath, ParsePasswd))
	}
	if a.nss.Value.Has("group", "altfiles") {
		a.group = withMore(a.group, readRecords(r, altGroupPath, ParseGroup))
	}
	return a
}

func readRecords[T any](r Root, name string, parse func(string, []byte) (Records[T], error)) Reading[Records[T]] {
	b, err := r.ReadFile(name, maxAccountFile)
	if err != nil {
		return NotKnown[Records[T]](name, err)
	}
	rs, err := parse(name, b)
	if err != nil {
		return NotKnown[Records[T]](name, err)
	}
	return Read(rs, name)
}

// withMore appends the records of a second file, which need not exist.
func withMore[T any](a, b Reading[Records[T]]) Reading[Records[T]] {
	if errors.Is(b.Err, fs.ErrNotExist) || a.Err != nil {
		return a
	}
	if b.Err != nil {
		return b
	}
	a.Value.List = append(a.Value.List, b.Value.List...)
	a.Value.Bad = append(a.Value.Bad, b.Value.Bad...)
	a.Value.Compat = a.Value.Compat || b.Value.Compat
	a.From += ", " + b.From
	return a
}

// AccountOf gathers what is known of the account and the group called name.
func AccountOf(ctx context.Context, r Root, name string) AccountFacts {
	return readAccounts(ctx, r).facts(name)
}

func (a *accounts) facts(name string) AccountFacts {
	f := AccountFacts{Name: name, User: a.user(name), Group: a.groupNamed(name)}
	f.BadLines = append(slices.Clone(a.passwd.Value.Bad), a.group.Value.Bad...)
	f.Password, f.BadLines = a.password(f.User, f.BadLines)
	f.ExtraGroups, f.DirectoryGroups = a.extraGroups(f.User)
	f.SameUID = a.sameUID(f.User)
	f.SameGID = a.sameGID(f.Group)
	f.PrimaryGroup = a.primaryGroup(f.User)
	f.HomeOwner = homeOwner(a.root, f.User)
	f.GroupMembers = a.members(f.Group)
	return f
}

// remote reports whether a name that the files of a database do not have may be known elsewhere.
func (a *accounts) remote(database string, compat bool) (bool, error) {
	if a.nss.Err != nil {
		return false, a.nss.Err
	}
	return len(a.services(database)) > 0 || compat && a.nss.Value.Has(database, "compat"), nil
}

// lookUp finds one record: in the file, else where the name service has more sources by asking it.
func lookUp[T any](a *accounts, database string, file Reading[Records[T]], is func(*T) bool, elsewhere func() (*T, error)) Reading[*T] {
	if file.Err != nil {
		return NotKnown[*T](file.From, file.Err)
	}
	for i := range file.Value.List {
		if is(&file.Value.List[i]) {
			record := file.Value.List[i]
			return Read(&record, file.From)
		}
	}
	more, err := a.remote(database, file.Value.Compat)
	if err != nil {
		return NotKnown[*T](a.nss.From, err)
	}
	if !more {
		return Read[*T](nil, file.From)
	}
	from := a.from(file.From, database)
	record, err := elsewhere()
	if err == nil && record == nil {
		err = a.answer(database)
	}
	if err != nil {
		return NotKnown[*T](from, err)
	}
	return Read(record, from)
}

func (a *accounts) user(name string) Reading[*Account] {
	return lookUp(a, "passwd", a.passwd, func(u *Account) bool { return u.Name == name }, func() (*Account, error) {
		return nssRecord(a.getent, "passwd", name, ParsePasswd)
	})
}

func (a *accounts) groupNamed(name string) Reading[*Group] {
	return lookUp(a, "group", a.group, func(g *Group) bool { return g.Name == name }, func() (*Group, error) {
		return nssRecord(a.getent, "group", name, ParseGroup)
	})
}

func (a *accounts) groupNumbered(gid uint32) Reading[*Group] {
	return lookUp(a, "group", a.group, func(g *Group) bool { return g.GID == gid }, func() (*Group, error) {
		return nssRecord(a.getent, "group", strconv.FormatUint(uint64(gid), 10), ParseGroup)
	})
}

// about carries on with what is known of a user or group: an error of finding it is passed on, and where there is none the
// zero value holds.
func about[T, U any](subject Reading[*T], then func(*T) Reading[U]) Reading[U] {
	if subject.Err != nil {
		return NotKnown[U](subject.From, subject.Err)
	}
	if subject.Value == nil {
		var zero U
		return Read(zero, subject.From)
	}
	return then(subject.Value)
}

// password reads the state of the user's password, and adds bad lines of shadow(5) to bad.
func (a *accounts) password(user Reading[*Account], bad []BadLine) (Reading[Password], []BadLine) {
	return about(user, func(u *Account) Reading[Password] {
		if !u.shadowed {
			return Read(u.password, u.From)
		}
		if u.From == FromNSS {
			return a.remotePassword(u.Name)
		}
		file := readRecords(a.root, ShadowPath, ParseShadow)
		bad = append(bad, file.Value.Bad...)
		return shadowPassword(file, u.Name)
	}), bad
}

func shadowPassword(file Reading[Records[Shadow]], name string) Reading[Password] {
	if file.Err != nil && !errors.Is(file.Err, fs.ErrNotExist) {
		return NotKnown[Password](file.From, file.Err)
	}
	for _, s := range file.Value.List {
		if s.Name == name {
			return Read(passwordOf(s.Secret, s.Expiry), file.From)
		}
	}
	return Read(Password{Locked: true, NoLine: true}, file.From)
}

func (a *accounts) remotePassword(name string) Reading[Password] {
	const from = "getent shadow"
	s, err := nssRecord(a.getent, "shadow", name, ParseShadow)
	if err != nil {
		return NotKnown[Password](from, err)
	}
	if s == nil {
		return NotKnown[Password](from, ErrDirectoryService)
	}
	return Read(passwordOf(s.Secret, s.Expiry), from)
}

// extraGroups lists the groups beside the primary one that the user is in, and those of them that only a directory service puts it into.
func (a *accounts) extraGroups(user Reading[*Account]) (all Reading[[]string], remote []string) {
	all = about(user, func(u *Account) Reading[[]string] {
		if a.group.Err != nil {
			return NotKnown[[]string](a.group.From, a.group.Err)
		}
		var in []string
		for _, g := range a.group.Value.List {
			if g.GID != u.GID && slices.Contains(g.Members, u.Name) && !slices.Contains(in, g.Name) {
				in = append(in, g.Name)
			}
		}
		more, err := a.remote("group", a.group.Value.Compat)
		if err != nil {
			return NotKnown[[]string](a.nss.From, err)
		}
		if !more {
			return Read(in, a.group.From)
		}
		both := a.withRemoteGroups(u, in)
		remote = both.Value[min(len(in), len(both.Value)):]
		return both
	})
	return all, remote
}

// withRemoteGroups adds the groups that a directory service puts the user into.
func (a *accounts) withRemoteGroups(u *Account, in []string) Reading[[]string] {
	from := a.from(a.group.From, "initgroups")
	gids, err := initgroups(a.getent, u.Name)
	if err == nil {
		err = a.answer("group")
	}
	if err != nil {
		return NotKnown[[]string](from, err)
	}
	for _, gid := range gids {
		if gid == u.GID {
			continue
		}
		g := a.groupNumbered(gid)
		if g.Err != nil {
			return NotKnown[[]string](from, g.Err)
		}
		name := strconv.FormatUint(uint64(gid), 10)
		if g.Value != nil {
			name = g.Value.Name
		}
		if !slices.Contains(in, name) {
			in = append(in, name)
		}
	}
	return Read(in, from)
}

func (a *accounts) sameUID(user Reading[*Account]) Reading[[]string] {
	return about(user, func(u *Account) Reading[[]string] {
		if a.passwd.Err != nil {
			return NotKnown[[]string](a.passwd.From, a.passwd.Err)
		}
		var same []string
		for _, other := range a.passwd.Value.List {
			if other.UID == u.UID && other.Name != u.Name {
				same = append(same, other.Name)
			}
		}
		if a.nss.Err != nil || len(a.services("passwd")) == 0 {
			return Read(same, a.passwd.From)
		}
		from := a.from(a.passwd.From, "passwd")
		other, err := nssRecord(a.elsewhere, "passwd", strconv.FormatUint(uint64(u.UID), 10), ParsePasswd)
		if err == nil && other == nil {
			err = a.answer("passwd")
		}
		if err != nil {
			return NotKnown[[]string](from, err)
		}
		if other != nil && other.Name != u.Name && !slices.Contains(same, other.Name) {
			same = append(same, other.Name)
		}
		return Read(same, from)
	})
}

func (a *accounts) sameGID(group Reading[*Group]) Reading[[]string] {
	return about(group, func(g *Group) Reading[[]string] {
		if a.group.Err != nil {
			return NotKnown[[]string](a.group.From, a.group.Err)
		}
		var same []string
		for _, other := range a.group.Value.List {
			if other.GID == g.GID && other.Name != g.Name {
				same = append(same, other.Name)
			}
		}
		return Read(same, a.group.From)
	})
}

func (a *accounts) primaryGroup(user Reading[*Account]) Reading[string] {
	return about(user, func(u *Account) Reading[string] {
		g := a.groupNumbered(u.GID)
		if g.Err != nil {
			return NotKnown[string](g.From, g.Err)
		}
		if g.Value == nil {
			return Read("", g.From)
		}
		return Read(g.Value.Name, g.From)
	})
}

// members lists who else is in the group. gshadow(5) only adds to group(5); where it cannot be read or is absent, group(5) tells.
func (a *accounts) members(group Reading[*Group]) Reading[[]string] {
	return about(group, func(g *Group) Reading[[]string] {
		all, from := slices.Clone(g.Members), g.From
		if gs := readRecords(a.root, GShadowPath, ParseGShadow); gs.Err == nil {
			from += ", " + gs.From
			for _, s := range gs.Value.List {
				if s.Name == g.Name {
					all = append(all, s.Members...)
				}
			}
		}
		slices.Sort(all)
		all = slices.DeleteFunc(slices.Compact(all), func(m string) bool { return m == g.Name })
		return Read(all, from)
	})
}

// homeOwner reads who owns the user's home directory.
func homeOwner(r Root, user Reading[*Account]) Reading[*uint32] {
	return about(user, func(u *Account) Reading[*uint32] {
		if u.Home == "" {
			return Read[*uint32](nil, u.From)
		}
		fi, err := r.Stat(u.Home)
		if securejoin.IsNotExist(err) {
			return Read[*uint32](nil, u.Home)
		}
		if err != nil {
			return NotKnown[*uint32](u.Home, err)
		}
		owner := fi.Sys().(*syscall.Stat_t).Uid
		return Read(&owner, u.Home)
	})
}
