package host

import "time"

// Change is who changed the mode or the owner of a file, and when.
type Change struct {
	When  time.Time
	PID   uint32
	UID   uint32
	User  string // name of UID, "" where it is not known
	Login uint32 // uid that somebody logged in as, UnsetLogin if nobody did
	// LoginUser is the name of Login, "" where it is not known.
	LoginUser string
	Exe       string // path of the program, "" where it is not known
	Comm      string
}

// UnsetLogin is the login uid of a process that nobody logged in for, AUDIT_UID_UNSET.
const UnsetLogin = 1<<32 - 1

// UserName is the name that the host's own files have for a uid, "" if they have none.
func UserName(r Root, uid uint32) string {
	for _, u := range readRecords(r, PasswdPath, ParsePasswd).Value.List {
		if u.UID == uid {
			return u.Name
		}
	}
	return ""
}
