package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// watched are the folders whose files a snapshot holds.
var watched = []string{"/etc", "/opt", "/usr/bin", "/usr/sbin", "/usr/lib/systemd", "/usr/share/man", "/usr/share/doc", "/usr/share/lintian", "/var/lib/cisco",
	"/var/log/cisco", "/var/spool/mail", "/var/mail", "/home"}

// volatile are files that change while a host does nothing, or that every package transaction changes.
var volatile = []string{
	"/etc/.pwd.lock",
	"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", // the account tools' own copies of the state before
	"/etc/ld.so.cache", "/etc/mtab", "/etc/resolv.conf", "/etc/adjtime",
	"/etc/selinux/*/policy", "/etc/selinux/*/contexts/files/*.bin", // compiled anew, with other bytes; modules are compared by their list
	"/etc/selinux/*/contexts/files/file_contexts.homedirs",
}

// state is a host as a snapshot holds it: the name of a thing to its description.
type state map[string]string

// taken are the snapshots of the guest by name; scripts run one after the other.
var taken = map[string]state{}

// snapshotCommand NAME remembers the host: files of the watched folders, units that are enabled, policy modules.
func snapshotCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: snapshot NAME")
	}
	s, err := takeState(ts)
	ts.Check(err)
	taken[args[0]] = s
}

// unchangedCommand NAME [EXCEPTION…] compares the host with a snapshot. Exceptions are patterns (path.Match) of names, which also
// cover what is below them; with !, something must have changed.
func unchangedCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: unchanged NAME [EXCEPTION...]")
	}
	before, ok := taken[args[0]]
	if !ok {
		ts.Fatalf("no snapshot %q", args[0])
	}
	now, err := takeState(ts)
	ts.Check(err)
	changes := compare(before, now, args[1:])
	if (len(changes) == 0) == neg {
		ts.Fatalf("%d changes since snapshot %s\n%s", len(changes), args[0], strings.Join(changes, "\n"))
	}
}

// takeState reads the host.
func takeState(ts *testscript.TestScript) (state, error) {
	s := state{}
	for _, top := range watched {
		if err := s.addFiles(top); err != nil {
			return nil, err
		}
	}
	// From the disk: on a busy emulated machine systemd itself may not answer within the 25 s that its client waits.
	s.addLines(ts, "unit", "systemctl --root=/ list-unit-files --no-legend --no-pager | awk '{print $1, $2}'")
	s.addLines(ts, "module", "command -v semodule >/dev/null && semodule -lfull")
	s.addLines(ts, "package", `dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n'`)
	return s, nil
}

// addLines adds a line of a command's output each. A command that fails (no such tool in this guest) adds nothing.
func (s state) addLines(ts *testscript.TestScript, kind, text string) {
	out, code := runCommand(ts, []string{"sh", text})
	if code != 0 {
		return
	}
	for line := range strings.Lines(out) {
		s[kind+" "+strings.Join(strings.Fields(line), " ")] = "present"
	}
}

// addFiles adds every file below top. A file that goes away meanwhile is left out.
func (s state) addFiles(top string) error {
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if covered(path, volatile) {
			return skip(d)
		}
		text, err := describe(path)
		if os.IsNotExist(err) {
			return nil
		}
		s[path] = text
		return err
	})
}

// skip leaves a file out, and with a folder all below it.
func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// describe is a file's type, mode, owners and content in one line. Of programs and data below /usr, of which there are many and which
// only a package changes, size and time stand for the content. Times are else left out; so is a folder's size.
func describe(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("%s: no owner", path)
	}
	text := fmt.Sprintf("%s %d:%d", info.Mode(), st.Uid, st.Gid)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		return text + " -> " + to, err
	case info.Mode().IsRegular() && strings.HasPrefix(path, "/usr/"):
		return fmt.Sprintf("%s %d bytes of %s", text, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano)), nil
	case info.Mode().IsRegular():
		sum, err := hash(path)
		return text + " " + sum, err
	}
	return text, nil
}

// hash is the start of a file's SHA-256.
func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// compare lists what differs, but for what the exceptions cover.
func compare(before, now state, exceptions []string) []string {
	var out []string
	names := maps.Clone(before)
	maps.Copy(names, now)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := before[name]
		is, has := now[name]
		switch {
		case was == is || covered(name, exceptions):
		case !had:
			out = append(out, "+ "+name+": "+is)
		case !has:
			out = append(out, "- "+name+": "+was)
		default:
			out = append(out, "~ "+name+": "+was+" became "+is)
		}
	}
	return out
}

// covered reports whether name or a folder above it matches a pattern.
func covered(name string, patterns []string) bool {
	for p := name; p != "/" && p != "."; p = filepath.Dir(p) {
		for _, pattern := range patterns {
			if ok, _ := filepath.Match(pattern, p); ok {
				return true
			}
		}
	}
	return false
}
