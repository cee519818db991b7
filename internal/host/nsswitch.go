package host

import (
	"errors"
	"io/fs"
	"strings"
)

// maxNsswitch is the size beyond which an nsswitch.conf is refused.
const maxNsswitch = 64 << 10

// nsswitchPaths is where nsswitch.conf(5) is; SUSE's vendor file is below /usr/etc.
var nsswitchPaths = []string{"/etc/nsswitch.conf", "/usr/etc/nsswitch.conf"}

// Nsswitch is the services of each database of nsswitch.conf(5), in order, without the actions in brackets.
type Nsswitch map[string][]string

// ParseNsswitch parses b. There are no bad lines: what has no colon names no database.
func ParseNsswitch(b []byte) Nsswitch {
	n := Nsswitch{}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		database, services, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		n[strings.TrimSpace(database)] = strings.Fields(withoutActions(services))
	}
	return n
}

// withoutActions takes out "[NOTFOUND=return]" and the like.
func withoutActions(s string) string {
	for {
		open := strings.IndexByte(s, '[')
		if open < 0 {
			return s
		}
		end := strings.IndexByte(s[open:], ']')
		if end < 0 {
			return s[:open]
		}
		s = s[:open] + " " + s[open+end+1:]
	}
}

// Has reports whether a database lists a service.
func (n Nsswitch) Has(database, service string) bool {
	for _, s := range n[database] {
		if s == service {
			return true
		}
	}
	return false
}

// local is the services whose answers are in files that are read here, or that know no account of ours (systemd).
var local = map[string]bool{"files": true, "altfiles": true, "compat": true, "systemd": true}

// Remote lists the services of a database that may know names that the files do not, in order.
func (n Nsswitch) Remote(database string) []string {
	var remote []string
	for _, s := range n[database] {
		if !local[s] {
			remote = append(remote, s)
		}
	}
	return remote
}

// nsswitch reads nsswitch.conf; without one the C library uses files alone.
func nsswitch(r Root) Reading[Nsswitch] {
	for _, name := range nsswitchPaths {
		b, err := r.ReadFile(name, maxNsswitch)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return NotKnown[Nsswitch](name, err)
		}
		return Read(ParseNsswitch(b), name)
	}
	return Read(Nsswitch{}, nsswitchPaths[0])
}
