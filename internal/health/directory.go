package health

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/terminal"
)

const (
	writable  = fs.FileMode(0o022) // group and others may write
	reachable = fs.FileMode(0o005) // others may list and enter
)

// directory judges one directory as the scan user meets it. A directory that is merely stricter than packaged towards its group is
// no fault: nobody is locked out and nobody else may write.
func (q *inquiry) directory(d host.DirectoryFact, user host.Reading[*host.Account]) {
	what := fault.Text{EN: "directory " + d.Want.Path, JA: "ディレクトリ " + d.Want.Path}
	expected := fault.Text{EN: "directory, %04o %s:%s", JA: "ディレクトリ、%04o %s:%s"}.With(d.Want.Mode, d.Want.Owner, d.Want.Group)
	state, ok := known(q, what, d.State, expected)
	if !ok {
		return
	}
	q.saw(what, describe(state), d.State.From, expected)
	owner, ok := known(q, fault.Text{EN: "uid of " + d.Want.Owner, JA: d.Want.Owner + " の UID"}, d.WantUID, onlyContext)
	if !ok {
		return
	}
	if words, wrong := deviation(d.Want, owner, state, user); wrong {
		q.deviates(CauseDirectory+d.Want.Path, fault.Text{EN: d.Want.Path + " " + words.EN, JA: d.Want.Path + " " + words.JA})
	}
}

// changed shows who changed a directory, where that was looked for. It decides nothing.
func (q *inquiry) changed(path string, changes map[string]host.Reading[*host.Change]) {
	r, looked := changes[path]
	if !looked {
		return
	}
	what := fault.Text{EN: "who changed " + path, JA: path + " を変更したプログラム"}
	switch c := r.Value; {
	case r.Err != nil:
		q.saw(what, wordUnread.With(r.Err), r.From, onlyContext)
	case c == nil:
		q.saw(what, fault.Text{EN: "neither log tells", JA: "どちらのログにも記録がありません"}, r.From, onlyContext)
	default:
		q.saw(what, who(c), r.From, onlyContext)
	}
}

// who is a change in words.
func who(c *host.Change) fault.Text {
	program, login := c.Exe, fault.Text{}
	if program == "" {
		program = "(" + c.Comm + ")"
	}
	if c.Login != host.UnsetLogin {
		login = fault.Text{EN: ", logged in as %s", JA: "、ログインユーザー %s"}.With(terminal.Line(userOf(c.LoginUser, c.Login)))
	}
	return fault.Text{EN: "%s, process %d, user %s%s, %s", JA: "%s、プロセス %d、ユーザー %s%s、%s"}.
		With(terminal.Line(program), c.PID, terminal.Line(userOf(c.User, c.UID)), login, c.When.UTC().Format(time.RFC3339))
}

func userOf(name string, uid uint32) string {
	if name == "" {
		return "uid " + decimal(uid)
	}
	return name
}

func describe(s *host.DirectoryState) fault.Text {
	switch {
	case s == nil:
		return wordAbsent
	case !s.IsDir:
		return fault.Text{EN: "not a directory", JA: "ディレクトリではありません"}
	}
	read := fault.Verbatim(fmt.Sprintf("%04o uid %d gid %d", s.Mode.Perm(), s.UID, s.GID))
	if s.Symlink {
		return fault.Text{EN: "%s, behind a symbolic link", JA: "%s (シンボリックリンクの参照先)"}.With(read)
	}
	return read
}

// deviation says what is wrong with a directory, the worst first.
func deviation(want host.Directory, owner uint32, s *host.DirectoryState, user host.Reading[*host.Account]) (fault.Text, bool) {
	switch {
	case s == nil:
		return fault.Text{EN: "does not exist", JA: "が存在しません"}, true
	case !s.IsDir:
		return fault.Text{EN: "is not a directory", JA: "がディレクトリではありません"}, true
	case s.UID != owner:
		return fault.Text{EN: fmt.Sprintf("belongs to uid %d", s.UID), JA: fmt.Sprintf("の所有者が UID %d です", s.UID)}, true
	case s.Mode.Perm()&writable&^want.Mode != 0:
		return fault.Text{EN: "lets others write", JA: "に他者が書き込めます"}, true
	case want.Mode&reachable&^offered(s, user) != 0:
		return fault.Text{EN: "locks the scan user out", JA: "にスキャンユーザーがアクセスできません"}, true
	}
	return fault.Text{}, false
}

// offered is what the mode gives to the scan user, as bits of the class "others". path_resolution(7): the first class that
// matches decides, also where a later one gives more.
func offered(s *host.DirectoryState, user host.Reading[*host.Account]) fs.FileMode {
	u := user.Value
	switch {
	case user.Err != nil || u == nil:
		return s.Mode & 0o007
	case u.UID == s.UID:
		return s.Mode >> 6 & 0o007
	case u.GID == s.GID:
		return s.Mode >> 3 & 0o007
	}
	return s.Mode & 0o007
}
