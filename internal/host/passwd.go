package host

import (
	"bytes"
	"strconv"
	"strings"
)

// Bounds of the account files. Sites without a directory service have passwd files of some megabytes.
const (
	maxAccountFile = 32 << 20
	maxAccountLine = 1 << 20 // a group of a large site lists its members on one line
)

// Secret is a password field. It shows itself to no log and no report.
type Secret string

const hidden = "(hidden)"

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Shadow is a line of shadow(5).
type Shadow struct {
	Name   string
	Secret Secret // second field
	Expiry string // eighth field, days since 1970-01-01, mostly empty
	Line   int
}

// GShadow is a line of gshadow(5).
type GShadow struct {
	Name    string
	Secret  Secret // second field
	Admins  []string
	Members []string
	Line    int
}

// Records is what an account file holds.
type Records[T any] struct {
	List   []T
	Bad    []BadLine
	Compat bool // the file has "+" or "-" lines, which bring in or hide names of a directory service (nsswitch "compat")
}

// nisPlus stands in passwd(5) for a password that the name service keeps elsewhere.
const nisPlus = "*NP*"

// fields is how many fields a line has, and how many the C library needs to take it: a truncated line still makes an account.
type fields struct{ want, least int }

// ParsePasswd parses passwd(5).
func ParsePasswd(name string, b []byte) (Records[Account], error) {
	return parseRecords(name, b, fields{7, 4}, func(f []string, line int) (Account, string) {
		uid, ok := id(f[2])
		gid, ok2 := id(f[3])
		if !ok || !ok2 {
			return Account{}, "uid or gid is no number below 4294967295"
		}
		a := Account{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: f[6], From: name, Line: line}
		if a.shadowed = f[1] == "x" || f[1] == nisPlus; !a.shadowed {
			a.password = passwordOf(Secret(f[1]), "")
		}
		return a, ""
	})
}

// ParseGroup parses group(5).
func ParseGroup(name string, b []byte) (Records[Group], error) {
	return parseRecords(name, b, fields{4, 3}, func(f []string, line int) (Group, string) {
		gid, ok := id(f[2])
		if !ok {
			return Group{}, "gid is no number below 4294967295"
		}
		return Group{Name: f[0], GID: gid, Members: names(f[3]), From: name, Line: line}, ""
	})
}

// ParseShadow parses shadow(5). Reasons of bad lines never quote a line.
func ParseShadow(name string, b []byte) (Records[Shadow], error) {
	return parseRecords(name, b, fields{9, 2}, func(f []string, line int) (Shadow, string) {
		return Shadow{Name: f[0], Secret: Secret(f[1]), Expiry: f[7], Line: line}, ""
	})
}

// ParseGShadow parses gshadow(5). Reasons of bad lines never quote a line.
func ParseGShadow(name string, b []byte) (Records[GShadow], error) {
	return parseRecords(name, b, fields{4, 2}, func(f []string, line int) (GShadow, string) {
		return GShadow{Name: f[0], Secret: Secret(f[1]), Admins: names(f[2]), Members: names(f[3]), Line: line}, ""
	})
}

// maxBad bounds the list of bad lines that is kept.
const maxBad = 100

// parseRecords reads lines of fields between colons. build returns a reason where it refuses.
func parseRecords[T any](name string, b []byte, n fields, build func(f []string, line int) (T, string)) (Records[T], error) {
	var rs Records[T]
	if len(b) > maxAccountFile {
		return rs, errTooLarge(name, maxAccountFile)
	}
	for line := 1; len(b) > 0; line++ {
		var raw []byte
		raw, b, _ = bytes.Cut(b, []byte("\n"))
		if blank(raw) {
			continue
		}
		if raw[0] == '+' || raw[0] == '-' {
			rs.Compat = true
			continue
		}
		f, reason := n.split(raw)
		if f != nil {
			record, refused := build(f, line)
			if refused == "" {
				rs.List = append(rs.List, record)
			} else {
				reason = refused
			}
		}
		if reason != "" && len(rs.Bad) < maxBad {
			rs.Bad = append(rs.Bad, BadLine{name, line, reason})
		}
	}
	return rs, nil
}

// blank reports whether a line is empty or a comment, which glibc takes a leading '#' for.
func blank(raw []byte) bool {
	t := bytes.TrimSpace(raw)
	return len(t) == 0 || t[0] == '#'
}

// split takes a line apart. What is wrong with it is in reason; fields that are nil cannot be read at all.
func (n fields) split(raw []byte) (f []string, reason string) {
	if len(raw) > maxAccountLine {
		return nil, "longer than " + strconv.Itoa(maxAccountLine) + " bytes"
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		return nil, "has a NUL byte"
	}
	f = strings.SplitN(string(raw), ":", n.want) // more colons stay in the last field, as for the C library
	count := bytes.Count(raw, []byte(":")) + 1
	if count != n.want {
		reason = strconv.Itoa(count) + " fields, " + strconv.Itoa(n.want) + " expected"
	}
	switch {
	case f[0] == "":
		return nil, "no name"
	case count < n.least:
		return nil, reason
	}
	for len(f) < n.want {
		f = append(f, "")
	}
	return f, reason
}

// id reads a uid or gid; 4294967295 is -1, which is nobody's.
func id(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1
}

func names(s string) []string {
	var list []string
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	return list
}

// noLogin is the shells that let nobody in.
var noLogin = map[string]bool{
	"/sbin/nologin": true, "/usr/sbin/nologin": true, "/bin/nologin": true, "/usr/bin/nologin": true,
	"/bin/false": true, "/usr/bin/false": true,
}

// NoLogin reports whether shell, the last field of passwd(5), lets nobody log in. An empty one does: it means /bin/sh.
func NoLogin(shell string) bool { return noLogin[shell] }

// passwordOf reads the password field and the expiry field of shadow(5), or the field of passwd(5) with an empty expiry.
func passwordOf(secret Secret, expiry string) Password {
	p := Password{Empty: secret == "", Locked: secret != "" && !matchable(secret)}
	if day, err := strconv.ParseInt(strings.TrimSpace(expiry), 10, 64); err == nil && day >= 0 {
		p.Expires, p.ExpiryDay = true, day
	}
	return p
}

// matchable reports whether some password could match: crypt(5) hashes begin with "$" or "_", or are 13 or more characters of
// its base 64 (traditional DES, bigcrypt). Anything else ("!", "*", "!!", "*LK*", a hash behind "!") is no hash and matches nothing.
func matchable(secret Secret) bool {
	if secret[0] == '$' || secret[0] == '_' {
		return true
	}
	return len(secret) >= 13 && !strings.ContainsFunc(string(secret), func(c rune) bool {
		return c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}
