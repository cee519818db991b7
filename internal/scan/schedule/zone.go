package schedule

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// maxZone is the size that a file of tzfile(5) may have, in bytes: the largest has some thousand.
const maxZone = 256 << 10

// LocalZone is the host's time zone as it is now, localtime(5). Go reads it once, at its start, and a daemon outlives that.
func LocalZone() *time.Location {
	if os.Getenv("TZ") != "" {
		return time.Local
	}
	f, err := os.Open("/etc/localtime")
	if errors.Is(err, fs.ErrNotExist) {
		return time.UTC
	}
	if err != nil {
		return time.Local
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxZone))
	if err != nil {
		return time.Local
	}
	zone, err := time.LoadLocationFromTZData("Local", b)
	if err != nil {
		return time.Local
	}
	return zone
}
