package host

import (
	"fmt"
	"io/fs"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// directories reads the state of each directory of a connector.
func directories(a *accounts, want []Directory) []DirectoryFact {
	facts := make([]DirectoryFact, 0, len(want))
	for _, d := range want {
		facts = append(facts, DirectoryFact{
			Want: d, State: directoryState(a.root, d.Path), WantUID: a.uidOf(d.Owner), WantGID: a.gidOf(d.Group),
		})
	}
	return facts
}

func directoryState(r Root, name string) Reading[*DirectoryState] {
	link, err := r.Lstat(name)
	if securejoin.IsNotExist(err) {
		return Read[*DirectoryState](nil, name)
	}
	if err != nil {
		return NotKnown[*DirectoryState](name, err)
	}
	s := &DirectoryState{Symlink: link.Mode()&fs.ModeSymlink != 0}
	fi := link
	if s.Symlink {
		if fi, err = r.Stat(name); securejoin.IsNotExist(err) {
			return Read(s, name) // a link that leads nowhere
		}
		if err != nil {
			return NotKnown[*DirectoryState](name, err)
		}
	}
	st := fi.Sys().(*syscall.Stat_t)
	s.Mode, s.UID, s.GID, s.IsDir = modeOf(fi.Mode()), st.Uid, st.Gid, fi.IsDir()
	return Read(s, name)
}

// uidOf and gidOf turn names of the table into numbers. root is 0 whatever the files say.
func (a *accounts) uidOf(name string) Reading[uint32] {
	if name == "root" {
		return Read[uint32](0, "")
	}
	u := a.user(name)
	if u.Err == nil && u.Value == nil {
		u.Err = fmt.Errorf("no user %s", name)
	}
	return about(u, func(u *Account) Reading[uint32] { return Read(u.UID, u.From) })
}

func (a *accounts) gidOf(name string) Reading[uint32] {
	if name == "root" {
		return Read[uint32](0, "")
	}
	g := a.groupNamed(name)
	if g.Err == nil && g.Value == nil {
		g.Err = fmt.Errorf("no group %s", name)
	}
	return about(g, func(g *Group) Reading[uint32] { return Read(g.GID, g.From) })
}
