package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// Delay is how much later than it is due a scan begins, up to a bound. It is chance over hosts, schedules and days, and still the same each
// time that it is asked for: a daemon that is started anew does not throw the dice again.
func Delay(host, name string, due time.Time, bound time.Duration) time.Duration {
	if bound <= 0 {
		return 0
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", host, name, due.Unix()))
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%uint64(bound/time.Second+1)) * time.Second
}

// HostID tells this host from others: by machine-id(5), and by its name, which copies of an image often have of their own.
func HostID() string {
	id, _ := os.ReadFile("/etc/machine-id")
	name, _ := os.Hostname()
	return fmt.Sprintf("%.64s\x00%s", id, name)
}
