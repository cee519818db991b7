package layout

import (
	"crypto/rand"
	"encoding/binary"
)

// Of the users whose numbers no account, container or service is given (systemd's UIDS-GIDS.md; ranges of subuid(5) end far below).
const (
	firstStranger = 0x70000000
	strangers     = 0x08000000
)

// stranger is a user, and its group, that nobody else is, another one at each call. What compiles runs as it where we are root. The overflow id will not
// do: servers run as nobody too, and processes of one user may look into one another, by /proc/PID/root also into a file system that they do not
// see, and write there what becomes a kernel module.
func stranger() (uint32, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return firstStranger + binary.NativeEndian.Uint32(b[:])%strangers, nil
}
